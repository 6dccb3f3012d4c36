"""Drawn training images: fungi, things and textures that do not exist."""
