"""Contracts compatible with other services: thin adapters, so that their clients can use this server unchanged."""
