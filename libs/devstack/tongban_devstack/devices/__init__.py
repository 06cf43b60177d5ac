"""Simulated devices in one process: IPP printers of kiosks, SMS providers: `tongban-devices`."""
