"""Derive what a cluster needs from the registries: topics, accounts, permissions, network rules."""
