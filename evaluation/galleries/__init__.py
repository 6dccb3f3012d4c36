"""Galleries and held-out queries: from a published snapshot, or from a simulated collection."""
