"""The read model: what is known of each request, rebuilt from the topics at any time."""
