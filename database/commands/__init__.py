"""The commands of `python -m database`: one module for each noun."""
