"""Approved observations as a Darwin Core Archive, for GBIF and for other installations."""
