"""What is asked and searched: a published snapshot's own observations, or a simulated collection."""
