"""Typed events onto the raw producer."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Protocol

from tongban_common.events.cloudevents import Event, encode
from tongban_common.events.models import Body


class RawProducer(Protocol):
    """What `tongban_kafka.producer.EventProducer` offers."""

    def send(
        self, topic: str, *, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Resolve when Kafka has acknowledged."""


class EventPublisher:
    """Sends events in the name of one source (a service)."""

    def __init__(self, producer: RawProducer, source: str) -> None:
        self._producer = producer
        self._source = source

    async def publish(
        self, topic: str, body: Body, *, event_id: str, at: datetime, repeat: bool = False
    ) -> None:
        """Send and wait for the acknowledgement of all in-sync replicas.

        Raises:
            KafkaUnavailableError: as the producer.
        """
        event = Event(id=event_id, source=self._source, body=body, time=at, repeat=repeat)
        value, headers = encode(event)
        await self._producer.send(topic, key=event.key, value=value, headers=headers)
