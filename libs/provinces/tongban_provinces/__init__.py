"""How a province's gateway is spoken to: signatures, nonces and SOAP envelopes.

The connectors, the conformance kit and the simulated gateways use it, each for its own side.
"""
