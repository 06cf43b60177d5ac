"""A real broker and a real document store on this machine, for laptops and tests."""

from tongban_devstack.embedded.kafka import EmbeddedKafka
from tongban_devstack.embedded.server import EmbeddedServer, StartFailed
from tongban_devstack.embedded.store import EmbeddedStore

__all__ = ["EmbeddedKafka", "EmbeddedServer", "EmbeddedStore", "StartFailed"]
