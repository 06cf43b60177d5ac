"""Accepting requests (办件): what is checked, how a repeat is recognised, what goes to Kafka."""
