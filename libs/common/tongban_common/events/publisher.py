"""Publish typed events through a producer of records."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Protocol

from tongban_common.events.cloudevents import Event, encode
from tongban_common.events.models import Body
from tongban_common.tracing import current_traceparent, sending


class RawProducer(Protocol):
    """The part of `tongban_kafka.EventProducer` that the publisher uses."""

    def send(
        self, topic: str, *, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        """Resolve once all in-sync replicas have acknowledged the record."""


class EventPublisher:
    """Publishes the events of one CloudEvents source, which is a service."""

    def __init__(self, producer: RawProducer, source: str) -> None:
        self._producer = producer
        self._source = source

    async def publish(
        self, topic: str, body: Body, *, event_id: str, at: datetime, repeat: bool = False
    ) -> None:
        """Publish an event in the caller's trace; return once all in-sync replicas have it.

        Raises:
            KafkaUnavailableError: the producer could not deliver it.
        """
        with sending(topic, event_type=body.TYPE, event_id=event_id):
            event = Event(
                id=event_id,
                source=self._source,
                body=body,
                time=at,
                repeat=repeat,
                traceparent=current_traceparent(),
            )
            value, headers = encode(event)
            await self._producer.send(topic, key=event.key, value=value, headers=headers)
