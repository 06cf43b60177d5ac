"""Run the HTTP server and its middleware: bodies, rate limits, metrics, security headers."""
