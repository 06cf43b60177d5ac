"""The HTTP API of CONTRACT.md."""
