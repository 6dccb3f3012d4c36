"""From archives to published snapshots. Knows the database and the engine, not the web."""
