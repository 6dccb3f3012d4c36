"""Drawn pictures for training: fungi, things, textures."""
