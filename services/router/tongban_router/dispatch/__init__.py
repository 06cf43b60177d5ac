"""The dispatcher: the life of each request, from submitted to a final state."""
