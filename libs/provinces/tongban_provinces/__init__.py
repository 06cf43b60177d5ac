"""The wire protocols of provinces' gateways: signatures, nonces, SOAP envelopes and wire models.

The connectors and the conformance kit use it on our side, the simulated gateways on the other.
"""
