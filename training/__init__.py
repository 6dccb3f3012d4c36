"""Trains embedding models: on drawings made by this project, or on the photos of a collection."""
