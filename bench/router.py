"""Compare the router's events per second with Faust's documented way, which awaits each
`topic.send`, with the same table and decisions, in the same run.

Both process the same backlog of submissions on their own brokers, each in its own process, in
alternating rounds. The measured time runs from the first to the last status entry on the topic, by
the broker's clock, so start and recovery do not count. Run `python -m bench.router`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.envelope import KeyRing
from tongban_common.events.models import ApplicantFacts, ItemSnapshot, Origin, RequestSubmitted
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import CommonSettings
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import EventProducer, apply_topics
from tongban_router.faust_runtime.app import Router, RouterApp
from tongban_router.main import serve
from tongban_router.settings import RouterSettings

LIMIT = 1.6
ENTRIES = 2
"""Status entries of one submission: submitted, routed."""
KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())


class PerEvent(Router):
    """Router in Faust's documented way: it sends each record and waits before the next, so the
    client does not linger."""

    def _new_app(self) -> RouterApp:
        app = super()._new_app()
        app.conf.producer_linger_ms = 0
        return app

    async def _emit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await self.app.producer.send_and_wait(topic, key, value, None, None, headers)


async def _backlog(kafka: str, count: int) -> None:
    now = BusinessClock.real().now()
    async with EventProducer(kafka, linger_ms=5, delivery_timeout=60) as producer:
        publisher = EventPublisher(producer, "bench")
        for start in range(0, count, 500):
            async with asyncio.TaskGroup() as tasks:
                for number in range(start, min(count, start + 500)):
                    body = _submission(number, now)
                    event_id = ids.derived_id("submitted", body.request_id)
                    tasks.create_task(
                        publisher.publish(
                            topics.REQUESTS_SUBMITTED, body, event_id=event_id, at=now
                        )
                    )


def _submission(number: int, now: Any) -> RequestSubmitted:
    request_id = ids.request_id("bench", kiosk_id="k-1", branch_id="b-1", key=f"bench-{number}")
    province = topics.PROVINCES[number % len(topics.PROVINCES)]
    return RequestSubmitted(
        request_id=request_id,
        item=ItemSnapshot(
            code="11310000002420001", version=1, name="社保缴费证明", category="c",
            province=province, kind="query", promised_days=1,
        ),
        origin=Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service"),
        applicant=ApplicantFacts(type="person", pseudonym="p"),
        print=False,
        submitted_at=now,
        deadline=now + timedelta(days=7),
        body_digest="digest",
        sealed=KEYS.seal(request_id, {"applicant": {"name": "张三"}, "form": {"year": "2025"}}),
    )  # fmt: skip


async def _span_s(kafka: str, entries: int) -> float:
    """Return the seconds between the first and the last status entry, once all exist."""
    consumer = AIOKafkaConsumer(
        topics.REQUESTS_STATUS, bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    stamps: list[int] = []
    async with consumer, asyncio.timeout(300):
        while len(stamps) < entries:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                stamps += [record.timestamp for record in records]
    return (max(stamps) - min(stamps)) / 1000


async def _round(way: str, count: int) -> float:
    """Return the events per second of one way."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as scratch:
        data = Path(scratch)
        async with EmbeddedKafka(data / "kafka") as broker:
            await apply_topics(broker.address, topics.TOPICS.values())
            await _backlog(broker.address, count)
            env = {
                **os.environ,
                "TONGBAN_KAFKA": broker.address,
                "TONGBAN_HTTP_PORT": str(free_port()),
                "TONGBAN_DATA": str(data / "router"),
                "TONGBAN_LOG_LEVEL": "WARNING",
            }
            argv = [sys.executable, "-m", "bench.router", "--way", way]
            child = ChildProcess(ChildSpec(way, argv, data / "router.log", env))
            try:
                span = await _span_s(broker.address, count * ENTRIES)
            finally:
                await child.stop(20)
    return count / span


async def compare(*, count: int, rounds: int) -> dict[str, Any]:
    """Return the medians of events per second, and their ratio."""
    seen: dict[str, list[float]] = {"ours": [], "per_event": []}
    for _ in range(rounds):
        for way, rates in seen.items():
            rates.append(await _round(way, count))
    ratio = statistics.median(a / b for a, b in zip(seen["ours"], seen["per_event"], strict=True))
    return {
        "events_per_s": {way: round(statistics.median(rates)) for way, rates in seen.items()},
        "ratio": round(ratio, 2),
        "limit": LIMIT,
        "ok": ratio >= LIMIT,
    }


async def main(count: int = 4000, rounds: int = 3) -> int:
    """Measure and print one line of JSON; return 1 if the ratio is below the limit."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    result = await compare(count=count, rounds=rounds)
    print(json.dumps({"router": result}), flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["ours", "per_event"], help="be the router itself")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.way:
        serve(RouterSettings(), Router if asked.way == "ours" else PerEvent)
    else:
        raise SystemExit(asyncio.run(main(asked.count, asked.rounds)))
