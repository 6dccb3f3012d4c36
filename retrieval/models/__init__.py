"""Embedding models behind the `Embedder` protocol, with one module for each runtime."""
