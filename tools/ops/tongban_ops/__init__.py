"""Provide the `tongban` command and the work behind it."""
