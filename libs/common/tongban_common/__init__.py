"""What every service shares: events, topics, the worker, domain types, store, observability."""
