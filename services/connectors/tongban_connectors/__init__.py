"""Connectors: hand requests in at the gateways of 31 provinces, each at most once."""
