"""The texts of messages and the quiet hours. Pure: no store, no Kafka, no HTTP."""
