"""Fetch, examine and store the documents that provinces make."""
