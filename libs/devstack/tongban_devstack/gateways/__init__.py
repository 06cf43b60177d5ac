"""Simulate the gateways of 31 provinces in one process, `tongban-gateways`."""
