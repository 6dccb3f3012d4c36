"""Embedding models: accuracy, speed, precision."""
