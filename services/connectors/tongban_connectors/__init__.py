"""Submit requests to the gateways of 31 provinces, with at most one effect each."""
