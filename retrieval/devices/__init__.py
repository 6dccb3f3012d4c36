"""Search on GPUs: a copy of each frequently searched flora, or one copy of all references."""
