"""Loopback servers that answer as the services of others do, over invented records."""
