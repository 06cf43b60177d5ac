"""The command line: a noun, then a verb; exit codes that mean something."""
