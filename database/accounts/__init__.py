"""People, passwords and API keys."""
