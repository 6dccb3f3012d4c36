"""The HTTP server and the pages."""
