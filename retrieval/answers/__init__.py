"""The answer pipeline: identify, find similar photos, and present the result."""
