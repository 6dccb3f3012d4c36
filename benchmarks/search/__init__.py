"""Flora search against its peers."""
