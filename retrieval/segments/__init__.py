"""Segments: immutable blocks of embeddings with their references, and searching several of them."""
