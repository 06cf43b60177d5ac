"""Make documents: contents become PDF/A-2b in child processes, and are stored."""
