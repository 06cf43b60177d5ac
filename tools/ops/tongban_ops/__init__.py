"""The `tongban` command, and what operators do with it."""
