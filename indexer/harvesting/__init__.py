"""Open records of a region from the services of GBIF and iNaturalist: which species, which photos, and what changed."""
