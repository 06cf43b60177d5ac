"""Two ways in which a connection of aiokafka 0.14 silences its client for ever, and what ends them;
and who is told why a broker refuses a connection.

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

**Refusals.** Every failure to connect goes to `refusals`, which tells a wrong password from a
broker that is away. What aiokafka's SASL raises at an answer that it cannot read (ValueError,
KeyError, AssertionError) becomes an error of the connection, as its clients expect.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from tongban_kafka import refusals

_connect: Any = AIOKafkaConnection.connect
_close: Any = AIOKafkaConnection.close
_look_up: Any = AIOKafkaConnection._do_version_lookup
_send: Any = AIOKafkaConnection.send
_FIRST_REQUEST = 2
"""Correlation id of the request that follows ApiVersions on a connection without SASL."""


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


async def _connect_and_note(connection: Any) -> Any:
    address = f"{connection.host}:{connection.port}"
    try:
        streams = await _connect(connection)
    except (KafkaError, OSError, TimeoutError) as error:
        refusals.note_failure(address, connection._security_protocol, error)
        raise
    except Exception as error:
        raise KafkaConnectionError(f"{address}: {type(error).__name__} while connecting") from error
    refusals.note_connected(address)
    return streams


def _close_and_note(connection: Any, reason: Any = None, exc: Any = None) -> Any:
    if reason is CloseReason.CONNECTION_BROKEN and connection._requests:
        number, request, _ = connection._requests[0]
        # The first after ApiVersions: the broker knows us by nothing yet.
        if number == _FIRST_REQUEST and type(request).__name__.startswith("MetadataRequest"):
            address = f"{connection.host}:{connection.port}"
            refusals.note_closed_at_first_request(address, connection._security_protocol)
    return _close(connection, reason, exc)


def mend_connections() -> None:
    """Have it so for all connections of this process. Again: nothing changes."""
    AIOKafkaConnection.connect = _connect_and_note
    AIOKafkaConnection.close = _close_and_note
    AIOKafkaConnection._do_version_lookup = _insist
    AIOKafkaConnection.send = _send_while_open
