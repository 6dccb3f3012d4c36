"""Observations, identifications by people, validation, and what became of suggestions."""
