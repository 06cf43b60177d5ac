"""Read, check, expand and publish the YAML files under `catalogue/`."""
