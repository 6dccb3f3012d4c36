"""Building, growing, checking and publishing snapshots."""
