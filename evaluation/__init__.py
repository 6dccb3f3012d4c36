"""Measures what the engine is worth. Knows the engine, not the indexer, the database or the web."""
