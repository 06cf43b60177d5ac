"""Check a province's gateway for everything that a connector relies on."""
