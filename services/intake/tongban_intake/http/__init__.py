"""The edge: who asks, how much, how fast, and what is counted."""
