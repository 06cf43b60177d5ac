"""Server-sent events: stream to clients what happens to a request."""
