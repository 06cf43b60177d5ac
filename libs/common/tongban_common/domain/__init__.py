"""The domain: identifiers, the life of a request, catalogue rules. No Kafka, no HTTP, no store."""
