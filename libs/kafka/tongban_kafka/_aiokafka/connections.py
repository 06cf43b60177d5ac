"""Mends two faults of aiokafka 0.14's connections that silence a client for ever.

It also passes failed connections to `tongban_kafka.refusals`.

**Versions.** A broker that is starting or stopping answers ApiVersions with an error and an empty
list (Apache Kafka 4: a NullPointerException in `BrokerServer.raftManager`, reported as
UNKNOWN_SERVER_ERROR). aiokafka ignores the error and keeps the connection, on which every request
then fails with IncompatibleBrokerVersion. That error is not retriable: it ends the heartbeat task
of a consumer, which nothing restarts. Here the connection fails instead, and every client of
aiokafka retries it. `tests/unit/kafka/test_connections.py` reproduces it, and
`docs/upstream/aiokafka-empty-versions.md` reports it.

**Closed transports.** Writing to a connection that has just been closed raises OSError or nothing
in asyncio's own loop, but RuntimeError in uvloop, which aiokafka does not expect. It ends the task
that was sending; without the metadata task, for example, a client never finds its coordinator
again (aio-libs/aiokafka#1038). Here the RuntimeError becomes a broken connection
(`docs/upstream/aiokafka-uvloop-closed-transport.md`).

**Refusals.** Every failed connection is passed to `refusals`, which distinguishes a wrong password
from a broker that is away. Errors that aiokafka's SASL raises for a response that it cannot parse
(ValueError, KeyError, AssertionError) become connection errors, which its clients expect.

**Passwords.** aiokafka keeps the password that a client was made with. Here a connection begins
with the password that the file has at that moment.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from tongban_kafka import refusals
from tongban_kafka.followed_files import FollowedPassword

_connect: Any = AIOKafkaConnection.connect
_close: Any = AIOKafkaConnection.close
_look_up: Any = AIOKafkaConnection._do_version_lookup
_send: Any = AIOKafkaConnection.send
_FIRST_REQUEST = 2
"""Correlation id of the request that follows ApiVersions on a connection without SASL."""


async def _look_up_versions(connection: Any) -> None:
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
    password = connection._sasl_plain_password
    if isinstance(password, FollowedPassword):
        connection._sasl_plain_password = password.current()
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
        # The first request after ApiVersions: no SASL came before it.
        if number == _FIRST_REQUEST and type(request).__name__.startswith("MetadataRequest"):
            address = f"{connection.host}:{connection.port}"
            refusals.note_closed_at_first_request(address, connection._security_protocol)
    return _close(connection, reason, exc)


def mend_connections() -> None:
    """Replace the methods for all connections of this process. Idempotent."""
    AIOKafkaConnection.connect = _connect_and_note
    AIOKafkaConnection.close = _close_and_note
    AIOKafkaConnection._do_version_lookup = _look_up_versions
    AIOKafkaConnection.send = _send_while_open
