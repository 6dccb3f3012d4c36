"""Building, appending to, verifying and publishing snapshots."""
