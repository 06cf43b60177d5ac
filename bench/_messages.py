"""Make the events that cause messages, and publish them, for measurements of notify."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer

from tongban_common import topics
from tongban_common.domain import ids
from tongban_common.envelope import KeyRing
from tongban_common.events import Body
from tongban_common.events.models import ApplicantFacts, ItemSnapshot, Origin, RequestCompleted
from tongban_common.events.publisher import EventPublisher
from tongban_kafka import EventProducer, KafkaAddress, client_options

ITEM = ItemSnapshot(
    code="11310000002420001", version=1, name="社保缴费证明", category="c", province="310000",
    kind="handle", promised_days=1,
)  # fmt: skip
ORIGIN = Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service")
FACTS = ApplicantFacts(type="person", pseudonym="p")


def request_id(name: str) -> str:
    return ids.request_id("bench", kiosk_id="k-1", branch_id="b-1", key=name)


def completions(keys: KeyRing, now: datetime, count: int) -> Iterable[Body]:
    """Yield the events that cause a message each."""
    for number in range(count):
        name = request_id(f"message-{number}")
        applicant = {"type": "person", "name": "张三", "phone": f"138{number:08d}"}
        yield RequestCompleted(
            request_id=name, item=ITEM, origin=ORIGIN, applicant=FACTS, print=False,
            submitted_at=now, completed_at=now,
            sealed=keys.seal(name, {"applicant": applicant}),
        )  # fmt: skip


async def publish(kafka: KafkaAddress, topic: str, bodies: Iterable[Body], now: datetime) -> None:
    """Publish events, and return when the broker has them all."""
    async with EventProducer(kafka, linger_ms=5, delivery_timeout=60) as producer:
        publisher = EventPublisher(producer, "bench")
        batch: list[Any] = []
        for body in bodies:
            name = ids.derived_id("bench", topic, body.request_id, getattr(body, "seq", 0))
            batch.append(publisher.publish(topic, body, event_id=name, at=now))
            if len(batch) == 500:
                await asyncio.gather(*batch)
                batch.clear()
        await asyncio.gather(*batch)


class SentReports:
    """Holds when the message of each request was reported as sent."""

    def __init__(self, kafka: KafkaAddress) -> None:
        self._kafka = kafka
        self.at: dict[str, float] = {}
        """Request -> `time.monotonic()` at which the report was read."""

    async def read(self) -> None:
        """Read what is reported from now on, until cancelled."""
        options = client_options(self._kafka)
        async with AIOKafkaConsumer(topics.NOTIFICATIONS_SENT, **options) as consumer:
            async for record in consumer:
                if b'"sent"' in record.value:
                    self.at.setdefault(record.key.decode(), time.monotonic())
