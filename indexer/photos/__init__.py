"""Finding, fetching and storing the photos that records refer to."""
