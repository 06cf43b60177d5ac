"""The HTTP API of docs/contract.md."""
