"""API v1: a module of routes for each noun."""
