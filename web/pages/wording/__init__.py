"""The texts of pages, for templates and scripts, in the visitor's language."""
