"""Provide what the simulated gateways and devices share: journal, faults, process."""
