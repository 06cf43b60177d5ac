"""Talk to SMS providers over HTTP."""
