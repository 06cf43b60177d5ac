"""Waiting for the broker before Faust starts.

Faust ends a process that finds no broker at its start, with a traceback each time. A broker that is
away for a minute would have the dispatcher restarted all the while, later and later each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tongban_common.kafka.config import RetryPolicy

log = structlog.get_logger()
_AGAIN = RetryPolicy(first=0.2, longest=5.0)
_PATIENCE_S = 10.0
"""For one attempt, however the broker hangs."""


async def reached(bootstrap: str, trying: Callable[[], None]) -> None:
    """Return once a broker answers; `trying` is called before each attempt."""
    attempt = 0
    while True:
        trying()
        client = AIOKafkaClient(bootstrap_servers=bootstrap, client_id="tongban-router")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await client.bootstrap()
        except (KafkaError, OSError, TimeoutError) as error:
            attempt += 1
            log.warning("router.kafka_not_reached", at=bootstrap, error=type(error).__name__)
        else:
            return
        finally:
            await client.close()
        await asyncio.sleep(_AGAIN.delay(attempt))
