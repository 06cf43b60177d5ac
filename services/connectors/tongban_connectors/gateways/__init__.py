"""Speak the protocols of provinces' gateways; each class implements `domain.gateway.Gateway`."""
