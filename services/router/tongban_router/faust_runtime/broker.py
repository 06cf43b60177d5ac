"""Waiting for the broker before Faust starts, and Faust's share of the Kafka settings.

Faust ends a process that finds no broker at its start, with a traceback each time. A broker that is
away for a minute would have the router restarted all the while, later and later each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from faust.auth import Credentials, SASLCredentials, SSLCredentials

from tongban_kafka.config import RetryPolicy
from tongban_kafka.security import KafkaAddress, client_options

log = structlog.get_logger()
_AGAIN = RetryPolicy(first=0.2, longest=5.0)
_PATIENCE_S = 10.0
"""For one attempt, however the broker hangs."""


def broker_credentials(kafka: KafkaAddress) -> Credentials | None:
    """Return the credentials by which Faust's consumer and producer connect as all our clients do;
    None without TLS and SASL. Its transport makes no other client, as topics are not declared."""
    options = client_options(kafka)
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return SSLCredentials(options["ssl_context"]) if "ssl_context" in options else None


async def reached(bootstrap: KafkaAddress, trying: Callable[[], None]) -> None:
    """Return once a broker answers; `trying` is called before each attempt."""
    attempt = 0
    while True:
        trying()
        client = AIOKafkaClient(**client_options(bootstrap), client_id="tongban-router")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await client.bootstrap()
        except (KafkaError, OSError, TimeoutError) as error:
            attempt += 1
            log.warning("router.kafka_not_reached", at=str(bootstrap), error=type(error).__name__)
        else:
            return
        finally:
            await client.close()
        await asyncio.sleep(_AGAIN.delay(attempt))
