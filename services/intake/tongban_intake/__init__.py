"""Intake: the one door that kiosks knock at. It accepts requests, tells how they stand, and shows
the kiosk's pages; it calls no other service.
"""
