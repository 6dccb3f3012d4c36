"""Recipes: the default model from nothing, and the comparison of options."""
