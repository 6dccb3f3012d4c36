"""The answer line: identify, find similar photos, and present the result."""
