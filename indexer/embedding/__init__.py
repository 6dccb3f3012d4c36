"""Embedding photos, storing embeddings, and fitting heads."""
