"""Run tongban on a laptop or in tests: embedded Kafka and store, the simulated outside, load, the
demo."""
