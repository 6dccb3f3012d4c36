"""Tests of the command: output, exit codes, installation."""
