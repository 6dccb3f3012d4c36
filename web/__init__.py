"""The engine over HTTP: API v1 and one plain page."""
