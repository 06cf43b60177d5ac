"""Measure how soon messages are delivered while one of two SMS providers fails half of the time.

Fifty messages a second: first while both work, then with a provider that answers every second call
with an error, after having sent the message for half of those. Every message has to be sent once,
and 999 of 1,000 within 30 s. Run `python -m bench.refusing_provider`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from bench._messages import SentReports, completions
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_devstack.stack import Stack, StackOptions
from tongban_kafka import EventProducer

RATE, SECONDS = 50.0, 40.0
WITHIN_S = 30.0
FAILING = "aurora"
_PATIENCE_S = 90.0


async def waits(stack: Stack, keys: KeyRing, *, first: int) -> list[float]:
    """Return the seconds from each completion to the report of its message; infinite if none
    came.

    Args:
        first: number of the first request.
    """
    count = round(RATE * SECONDS)
    now = BusinessClock.real().now()
    bodies = list(completions(keys, now, first + count))[first:]
    reports, due = SentReports(stack.cluster), dict[str, float]()
    reading = asyncio.create_task(reports.read())
    await asyncio.sleep(1.0)
    async with EventProducer(stack.cluster) as producer, asyncio.TaskGroup() as sending:
        publisher = EventPublisher(producer, "bench")
        began = time.monotonic()
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            due[body.request_id] = time.monotonic()
            name = ids.derived_id("bench", body.request_id)
            sending.create_task(
                publisher.publish(topics.REQUESTS_COMPLETED, body, event_id=name, at=now)
            )
    ends = time.monotonic() + _PATIENCE_S
    while not due.keys() <= reports.at.keys() and time.monotonic() < ends:
        await asyncio.sleep(0.1)
    reading.cancel()
    await asyncio.wait([reading])
    return sorted(reports.at.get(each, math.inf) - at for each, at in due.items())


async def main() -> int:
    """Measure and print one line of JSON; return 1 if too few are delivered in time, or twice."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as scratch:
        data = Path(scratch)
        async with Stack(StackOptions(data=data)) as stack, aiohttp.ClientSession() as http:
            keys = KeyRing.parse((data / "keyring.json").read_text())
            calm = await waits(stack, keys, first=0)
            url = f"{stack.devices}/faults/sms/{FAILING}"
            async with http.put(url, json={"error_rate": 0.5}) as reply:
                reply.raise_for_status()
            failing = await waits(stack, keys, first=len(calm))
            async with http.get(f"{stack.devices}/messages") as reply:
                sent = Counter[str]()
                for line in await reply.json():
                    sent[line["request_id"]] += line["count"]
    doubled = sum(count > 1 for count in sent.values())
    in_time = sum(wait <= WITHIN_S for wait in failing) / len(failing)
    ok = in_time >= 0.999 and doubled == 0 and math.inf not in failing
    found: dict[str, Any] = {"calm_s": _quantiles(calm), "failing_s": _quantiles(failing)}
    print(json.dumps({**found, "within_30_s": round(in_time, 4), "doubled": doubled, "ok": ok}))
    return 0 if ok else 1


def _quantiles(ordered: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "longest": 1.0}
    last = len(ordered) - 1
    return {
        name: round(ordered[min(last, math.ceil(share * len(ordered)) - 1)], 2)
        for name, share in shares.items()
    }


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
