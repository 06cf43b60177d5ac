"""For laptops and tests alone: embedded Kafka and store, the simulated outside, load, the demo."""
