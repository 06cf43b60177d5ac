"""Two ways in which a connection of aiokafka 0.14 silences its client for ever, and what ends them.

**Versions.** A broker that is starting or stopping answers ApiVersions with an error and an empty
list (Apache Kafka 4: a NullPointerException in `BrokerServer.raftManager`, told as
UNKNOWN_SERVER_ERROR). aiokafka passes over the error and keeps the connection, on which every
request then fails with IncompatibleBrokerVersion. That is not retriable: it kills the heartbeat of
a consumer, which nothing starts again. Here the connection fails instead, which every client of
aiokafka (ours, and Faust's) tries again.

**Closed transports.** Writing to a connection that has just been closed is an OSError or nothing to
asyncio's own loop, and a RuntimeError to uvloop, which aiokafka does not expect: it kills whichever
of its tasks was sending, also the one that looks for new metadata, without which a client never
finds its coordinator again. Here it is what it is elsewhere, a broken connection.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_look_up: Any = AIOKafkaConnection._do_version_lookup
_send: Any = AIOKafkaConnection.send


async def _insist(connection: Any) -> None:
    await _look_up(connection)
    if not connection._versions:
        raise ConnectionError("the broker does not say yet which versions it speaks")


def _send_while_open(connection: Any, request: Any, expect_response: bool = True) -> Any:
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        place = f"{connection.host}:{connection.port}"
        raise KafkaConnectionError(f"Connection at {place} broken: {error}") from error


def mend_connections() -> None:
    """Have it so for all connections of this process. Again: nothing changes."""
    AIOKafkaConnection._do_version_lookup = _insist
    AIOKafkaConnection.send = _send_while_open
