"""Implement the operators' commands apart from the command line, on Kafka alone; no service is
called."""
