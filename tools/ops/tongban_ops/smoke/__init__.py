"""Check a deployment from a kiosk's side, step by step."""
