"""Measurements of cost. Nothing here is imported by the project."""
