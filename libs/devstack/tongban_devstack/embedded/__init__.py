"""Run a real broker and a real document store on this machine, for laptops and tests."""

from tongban_devstack.embedded.jars import JarsUnavailableError
from tongban_devstack.embedded.kafka import EmbeddedKafka
from tongban_devstack.embedded.server import EmbeddedServer
from tongban_devstack.embedded.store import EmbeddedStore
from tongban_devstack.readiness import StartFailedError

__all__ = [
    "EmbeddedKafka",
    "EmbeddedServer",
    "EmbeddedStore",
    "JarsUnavailableError",
    "StartFailedError",
]
