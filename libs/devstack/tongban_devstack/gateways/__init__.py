"""31 simulated province gateways in one process: `tongban-gateways`."""
