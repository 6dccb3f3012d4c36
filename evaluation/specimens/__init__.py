"""Draws the demo collection: fungi that do not exist."""
