"""Incremental, content-addressed backups of database, photos, embeddings and snapshots."""
