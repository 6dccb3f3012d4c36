"""Observations, identifications by people, validation, and the outcomes of suggestions."""
