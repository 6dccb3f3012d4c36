"""The snapshot's folder format, what an open snapshot offers, and its floras."""
