"""What operators' commands do, apart from the command line: on Kafka alone, no service is asked."""
