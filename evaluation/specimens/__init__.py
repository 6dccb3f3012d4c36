"""The project's own drawings of fungi that do not exist."""
