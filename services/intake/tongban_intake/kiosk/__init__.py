"""Serve the kiosk's pages, which work without scripts and load nothing from other sites."""
