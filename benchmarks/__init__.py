"""Measurements of cost. Each module's first lines say what it promises; outputs that are quoted lie in `results/`."""
