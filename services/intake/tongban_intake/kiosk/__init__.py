"""The kiosk's pages: rendered here, usable without a script, nothing fetched from elsewhere."""
