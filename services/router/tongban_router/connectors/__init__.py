"""The connectors: our side of each province gateway."""
