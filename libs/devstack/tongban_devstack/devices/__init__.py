"""Simulate devices in one process, `tongban-devices`: IPP printers of kiosks and SMS providers."""
