"""Measure how many messages notify sends while the read model catches up after a storm.

Both write to one store. The same messages are sent alone, while a backlog of statuses is written
with the default share of the store for the read model, and with all of it. Run
`python -m bench.catching_up`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer

from bench._messages import FACTS, ITEM, ORIGIN, completions, publish, request_id
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Body, decode
from tongban_common.events.models import (
    NotificationReported,
    RequestStatus,
)
from tongban_common.settings import CommonSettings
from tongban_common.store import Store
from tongban_devstack.stack import Stack, StackOptions
from tongban_kafka import client_options

MESSAGES = 600
STORM = 8000
"""Requests of the storm, with three statuses each."""
LEAST_PER_S = 60.0
LEAST_RATIO = 0.4


def storm(keys: KeyRing, now: datetime) -> Iterable[Body]:
    """Yield the statuses of many requests, none of which causes a message."""
    for number in range(STORM):
        name = request_id(f"storm-{number}")
        sealed = keys.seal(name, {"applicant": {"type": "person"}, "form": {"year": "2025"}})
        steps = (Status.SUBMITTED, Status.ROUTED, Status.ACCEPTED)
        for seq, status in enumerate(steps, 1):
            yield RequestStatus(
                request_id=name, seq=seq, status=status, at=now, by="router", item=ITEM,
                origin=ORIGIN, applicant=FACTS, submitted_at=now, print=False, body_digest="d",
                sealed=sealed,
            )  # fmt: skip


async def sent_per_s(stack: Stack) -> float:
    """Return how many messages a second were reported between the first and the last one."""
    options = {**client_options(stack.cluster), "auto_offset_reset": "earliest"}
    stamps: list[int] = []
    async with (
        AIOKafkaConsumer(topics.NOTIFICATIONS_SENT, **options) as consumer,
        asyncio.timeout(300),
    ):
        while len(stamps) < MESSAGES:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    body = decode(record.value, record.headers).body
                    assert isinstance(body, NotificationReported)
                    assert body.status == "sent", body.status
                    stamps.append(record.timestamp)
    return (MESSAGES - 1) / ((max(stamps) - min(stamps)) / 1000)


async def written(stack: Stack) -> int:
    """Return how many requests the read model has."""
    store = Store(stack.store, CommonSettings().store_name)
    try:
        count: int = await store.collection("requests").count_documents({})
        return count
    finally:
        store.close()


async def measured(*, stormy: bool, share: float | None = None) -> float:
    """Return the messages a second on a fresh stack."""
    settings = {} if share is None else {"TONGBAN_READMODEL_STORE_SHARE": f"{share:g}"}
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as scratch:
        data = Path(scratch)
        async with Stack(StackOptions(data=data, environments={"intake": settings})) as stack:
            keys = KeyRing.parse((data / "keyring.json").read_text())
            now = BusinessClock.real().now() - timedelta(seconds=1)
            messages = list(completions(keys, now, MESSAGES))
            if stormy:
                await publish(stack.cluster, topics.REQUESTS_STATUS, storm(keys, now), now)
            await publish(stack.cluster, topics.REQUESTS_COMPLETED, messages, now)
            rate = await sent_per_s(stack)
            if stormy and await written(stack) >= STORM:
                raise RuntimeError("the read model had caught up before all messages were sent")
            return rate


async def main() -> int:
    """Measure and print one line of JSON; return 1 if too few are sent during the storm."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    alone = await measured(stormy=False)
    found = {
        "alone": alone,
        "default_share": await measured(stormy=True),
        "whole_store": await measured(stormy=True, share=1.0),
    }
    ratio = found["default_share"] / alone
    ok = found["default_share"] >= LEAST_PER_S and ratio >= LEAST_RATIO
    rounded = {name: round(rate, 1) for name, rate in found.items()}
    print(json.dumps({"messages_per_s": rounded, "ratio": round(ratio, 2), "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
