"""Measures accuracy and fits calibration. Imports `retrieval`, but not `indexer`, `database` or `web`."""
