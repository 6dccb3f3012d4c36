"""The pages' words, for templates and scripts, in the visitor's language."""
