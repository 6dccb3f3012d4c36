"""The build pipeline: from archives to published snapshots. Imports database and retrieval, never web."""
