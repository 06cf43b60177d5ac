"""Telling those who watch a request what happens to it, as it happens."""
