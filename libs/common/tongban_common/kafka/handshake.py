"""A connection to a broker that does not say which versions it speaks is no connection.

A broker that is starting or stopping answers ApiVersions with an error and an empty list (Apache
Kafka 4: a NullPointerException in `BrokerServer.raftManager`, told as UNKNOWN_SERVER_ERROR).
aiokafka 0.14 passes over the error and keeps the connection, on which every request then fails with
IncompatibleBrokerVersion. That is not retriable: it kills the heartbeat of a consumer, which
nothing starts again, so that its group member is silent for ever. Here the connection fails
instead, which every client of aiokafka (ours, and Faust's) tries again.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection

_look_up: Any = AIOKafkaConnection._do_version_lookup


async def _insist(connection: Any) -> None:
    await _look_up(connection)
    if not connection._versions:
        raise ConnectionError("the broker does not say yet which versions it speaks")


def insist_on_versions() -> None:
    """Have it so for all connections of this process. Again: nothing changes."""
    AIOKafkaConnection._do_version_lookup = _insist
