"""Project the state of each request from the topics; it can be rebuilt from them at any time."""
