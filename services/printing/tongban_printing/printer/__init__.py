"""Talk to the printers of kiosks over IPP."""
