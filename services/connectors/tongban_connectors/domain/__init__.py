"""Decide what an answer means, which sends are uncertain and when a gateway may be called: no HTTP,
no Kafka client, no store."""
