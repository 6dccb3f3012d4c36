"""The identification engine: from photos to ranked species. Does not import web, database or indexer."""
