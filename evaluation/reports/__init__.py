"""The accuracy report, its charts, and docs/accuracy.md."""
