"""Finding, fetching and storing the photos that records name."""
