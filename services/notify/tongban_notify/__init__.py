"""Notify: one message for each event and recipient."""
