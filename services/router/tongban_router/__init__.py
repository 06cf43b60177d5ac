"""The router: the Faust dispatcher, and the connectors of the provinces."""
