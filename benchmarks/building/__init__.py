"""Building snapshots, the atlas, the report."""
