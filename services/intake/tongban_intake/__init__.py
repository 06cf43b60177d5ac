"""Intake, the HTTP service for kiosks: accepts requests, reports their state, serves the kiosk's
pages.

It calls no other service.
"""
