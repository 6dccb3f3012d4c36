"""Photos received, fetched, and shown."""
