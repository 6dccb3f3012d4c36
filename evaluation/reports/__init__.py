"""What people read: the report, its charts, and docs/accuracy.md."""
