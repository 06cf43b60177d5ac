"""Decide the life of a request in pure functions: no Kafka, no Faust, no clock of its own."""
