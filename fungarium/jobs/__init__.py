"""The work of commands that takes more than a few lines; imported when a command runs."""
