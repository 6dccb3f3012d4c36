"""Datasets, reference photos, imports, withdrawals and snapshots."""
