"""The command: what it says, how it ends, and what is installed."""
