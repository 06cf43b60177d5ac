"""Serve the HTTP API that docs/contract.md defines."""
