"""The index promise, and FAISS on CPU and GPU behind it."""
