"""Handle commands to a submitted request: supplement, withdrawal, print, confirmation, rating."""
