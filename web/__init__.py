"""The HTTP server: API v1, the APIs of other services, and the pages."""
