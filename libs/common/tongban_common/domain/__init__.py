"""The domain: identifiers and the states of requests. It imports no Kafka, HTTP or store."""
