"""What the simulated gateways and devices have in common: journal, faults, process."""
