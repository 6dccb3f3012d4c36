"""Training recipes: the default model from scratch, and the comparison of options."""
