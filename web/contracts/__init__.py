"""Contracts of other services, whose clients then use this server unchanged: thin adapters over the same answers."""
