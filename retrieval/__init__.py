"""The engine: from photographs to ranked species. Knows neither the web, nor the database, nor the indexer."""
