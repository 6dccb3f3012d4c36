"""What requests share: the open snapshot, batching, caching, and identification."""
