"""The notification service sends one message for each event and recipient."""
