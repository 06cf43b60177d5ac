"""Checks within seconds whether a broker answers, for commands whose caller waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tongban_kafka import refusals
from tongban_kafka.errors import KafkaUnavailableError
from tongban_kafka.security import KafkaAddress, client_options

PATIENCE_S = 3.0


async def reach(bootstrap: KafkaAddress, *, within: float = PATIENCE_S) -> None:
    """Return as soon as one of the brokers that `bootstrap` names answers.

    All are tried at once. A client would try one after the other, and wait for each as long as a
    busy broker needs.

    Raises:
        KafkaUnavailableError: no broker answered within `within` seconds, or all refused. Its text
            names TLS or SASL if they are the cause.
    """
    attempts = [
        asyncio.create_task(_answers(bootstrap, host)) for host in str(bootstrap).split(",")
    ]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                for answered in asyncio.as_completed(attempts):
                    if await answered:
                        return
    finally:
        for task in attempts:
            task.cancel()
        await asyncio.wait(attempts)
    refusal = refusals.current()
    raise KafkaUnavailableError(f"{bootstrap}: {refusal or 'no broker answers'}")


async def _answers(kafka: KafkaAddress, host: str) -> bool:
    client = AIOKafkaClient(**client_options(kafka, bootstrap=host), client_id="tongban-operator")
    try:
        await client.bootstrap()
    except (KafkaError, OSError):
        return False
    else:
        return True
    finally:
        await client.close()
