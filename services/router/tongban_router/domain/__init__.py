"""The life of a request as pure functions: no Kafka, no Faust, no clock of its own."""
