"""Accept requests from kiosks over HTTP, report their state, and serve the kiosk's pages.

Intake calls no other service.
"""
