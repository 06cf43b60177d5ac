"""The public pages on which anyone verifies a printed sheet or a file, by code or by its bytes."""
