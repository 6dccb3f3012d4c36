"""Benchmarks. The docstring of each module states its targets; outputs that the documents quote are in `results/`."""
