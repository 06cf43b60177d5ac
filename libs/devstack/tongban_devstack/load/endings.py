"""Read from the topic of statuses when requests end, also of those whose 202 was lost."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaConsumer

from tongban_common.events import decode
from tongban_common.events.models import RequestStatus
from tongban_common.topics import REQUESTS_STATUS
from tongban_kafka import KafkaAddress, client_options


class Endings:
    """Holds which requests have ended since it was entered. An async context manager."""

    def __init__(self, kafka: KafkaAddress) -> None:
        self._kafka = kafka
        self.ended: dict[str, tuple[float, str]] = {}
        """Request -> `time.monotonic()` at which its final state was read, and the state."""
        self.printing: set[str] = set()
        """Requests that ended with a sheet to print."""
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Endings:
        consumer = AIOKafkaConsumer(REQUESTS_STATUS, **client_options(self._kafka))
        await consumer.start()
        await consumer.seek_to_end()
        self._reading = asyncio.create_task(self._read(consumer), name="endings-reader")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])

    def check(self) -> None:
        """Raise what has ended the reading, if anything has."""
        if self._reading.done():
            self._reading.result()

    def forget(self) -> None:
        """Drop what has ended so far."""
        self.ended.clear()
        self.printing.clear()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async for record in consumer:
                body = decode(record.value, record.headers).body
                if isinstance(body, RequestStatus) and body.status.final and not body.note:
                    self.ended.setdefault(body.request_id, (time.monotonic(), body.status.value))
                    if body.print:
                        self.printing.add(body.request_id)
        finally:
            await consumer.stop()
