"""Models that keep the embedder's promise, each runtime in a module of its own."""
