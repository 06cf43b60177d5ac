"""Notify: one message per event and recipient."""
