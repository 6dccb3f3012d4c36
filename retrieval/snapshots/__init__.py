"""Snapshots: the folder format, open snapshots, their floras, and publishing."""
