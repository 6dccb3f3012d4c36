"""Export of approved observations as a Darwin Core Archive, for GBIF and other installations."""
