"""The conformance kit: plays a province's gateway through all that a connector relies on."""
