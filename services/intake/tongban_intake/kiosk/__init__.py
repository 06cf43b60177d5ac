"""The kiosk's pages: rendered by intake, usable without scripts, without resources of other
sites."""
