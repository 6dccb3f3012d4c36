"""Segments: immutable blocks of embeddings with their references, and search over several segments."""
