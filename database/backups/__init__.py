"""Backups of database, photos, embeddings and snapshots, by content: the next one copies what is new."""
