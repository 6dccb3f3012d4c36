"""The commands of `python -m indexer`, one module a noun."""
