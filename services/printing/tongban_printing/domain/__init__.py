"""Orders of print and the contents of sheets. Pure: no store, no Kafka, no fonts."""
