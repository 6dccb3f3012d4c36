"""The `Index` protocol and its implementations with FAISS on the CPU."""
