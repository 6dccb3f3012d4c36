"""Pages for administrators: snapshots, publishing, people, imports."""
