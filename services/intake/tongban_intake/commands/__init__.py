"""What may be asked of a request after it was submitted: supplement, withdrawal, print, rating."""
