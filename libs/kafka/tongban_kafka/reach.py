"""Whether a broker answers at all, told soon: for commands, whose caller waits."""

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
    """Return once one of the brokers that `bootstrap` names answers.

    Clients try them one after the other, and are as patient with each as a busy one needs; here
    all are asked at once.

    Raises:
        KafkaUnavailableError: none did within so many seconds, or all refused; where TLS or SASL
            is the cause, its text says so.
    """
    asking = [asyncio.create_task(_answers(bootstrap, host)) for host in str(bootstrap).split(",")]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                for answered in asyncio.as_completed(asking):
                    if await answered:
                        return
    finally:
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
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
