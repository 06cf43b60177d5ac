"""Wait for the broker and the topics before Faust starts, and make Faust's credentials.

Faust ends a process that reaches no broker at its start, with a traceback. While the broker is away
for a minute a supervisor would restart the router again and again, with growing delays.
`tests/integration/router/test_without_broker.py` tests the start without a broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from faust.auth import Credentials, SASLCredentials, SSLCredentials

from tongban_kafka import Backoff, KafkaAddress, client_options

log = structlog.get_logger()
_BACKOFF = Backoff(first=0.2, longest=5.0)
_ATTEMPT_S = 10.0
"""Seconds for one attempt to connect."""


def broker_credentials(kafka: KafkaAddress) -> Credentials | None:
    """Return the credentials for Faust's consumer and producer; None without TLS and SASL. Faust's
    transport creates no other client, since the router declares no topics."""
    options = client_options(kafka)
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return SSLCredentials(options["ssl_context"]) if "ssl_context" in options else None


async def wait_for_broker(bootstrap: KafkaAddress, trying: Callable[[], None]) -> None:
    """Return once a broker answers; retry with exponential back-off.

    Args:
        trying: called before each attempt.
    """
    attempt = 0
    while True:
        trying()
        client = AIOKafkaClient(**client_options(bootstrap), client_id="tongban-router")
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                await client.bootstrap()
        except (KafkaError, OSError, TimeoutError) as error:
            attempt += 1
            log.warning("router.kafka_not_reached", at=str(bootstrap), error=type(error).__name__)
        else:
            return
        finally:
            await client.close()
        await asyncio.sleep(_BACKOFF.delay(attempt))


async def wait_for_topics(
    bootstrap: KafkaAddress,
    topics: Collection[str],
    trying: Callable[[], None],
    missing: Callable[[str], None],
) -> None:
    """Return once all of these topics exist; retry with exponential back-off.

    Faust leaves a missing topic out of its assignment and does not notice when it is created: a
    router that was started together with a new broker would read nothing until its next restart.

    Args:
        trying: called before each attempt.
        missing: called with the reason after each failed attempt, and with "" at the end.
    """
    attempt = 0
    while absent := await _absent(bootstrap, topics, trying):
        attempt += 1
        missing(absent)
        log.warning("router.topics_missing", error=absent)
        await asyncio.sleep(_BACKOFF.delay(attempt))
    missing("")


async def _absent(
    bootstrap: KafkaAddress, topics: Collection[str], trying: Callable[[], None]
) -> str:
    """Return which of the topics the broker does not have, or the error that prevents knowing it;
    "" if it has all."""
    trying()
    client = AIOKafkaClient(**client_options(bootstrap), client_id="tongban-router")
    try:
        async with asyncio.timeout(_ATTEMPT_S):
            await client.bootstrap()
            there = (await client.fetch_all_metadata()).topics()
    except (KafkaError, OSError, TimeoutError) as error:
        return f"topics cannot be listed: {type(error).__name__}"
    finally:
        await client.close()
    absent = sorted(set(topics) - set(there))
    return f"topics are missing: {', '.join(absent)}" if absent else ""
