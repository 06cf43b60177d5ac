"""Compare the CPU of the traced hot paths with the same code without tracing, in the same process.

`off` is how every process runs by default; `on` records every span into nothing. Two paths: an
event that a service publishes, and a record that a worker hands to a handler, which decodes it.
Rounds alternate; the result is the median of the ratios of CPU time. Run `python -m bench.tracing`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor

from tongban_common import tracing
from tongban_common.events import Event, decode, encode
from tongban_common.events.models import DocumentRef, DocumentStored
from tongban_common.events.publisher import EventPublisher
from tongban_common.tracing.sdk import SdkBackend, make_sampler
from tongban_common.tracing.spans import use_backend
from tongban_kafka import Record

LIMIT = 1.1
"""Maximum CPU ratio of a path with tracing off to the path without tracing."""
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BODY = DocumentStored(
    request_id="r-" + "0" * 29,
    document=DocumentRef(document_id="d", title="t", pages=1, sha256="0" * 64),
    at=NOW,
)
VALUE, HEADERS = encode(Event("e", "bench", BODY, NOW))
RECORD = Record("t", 0, 0, 0, BODY.request_id.encode(), VALUE, tuple(HEADERS), False, 0.0)
Path = Callable[[], Awaitable[None]]


class _Nowhere:
    async def send(self, topic: str, **record: Any) -> None:
        """Accept a record."""


async def _publish_bare() -> None:
    event = Event(id="e", source="bench", body=BODY, time=NOW)
    value, headers = encode(event)
    await _Nowhere().send("t", key=event.key, value=value, headers=headers)


_PUBLISHER = EventPublisher(_Nowhere(), "bench")


async def _publish() -> None:
    await _PUBLISHER.publish("t", BODY, event_id="e", at=NOW)


async def _handle_bare() -> None:
    decode(RECORD.value, RECORD.headers)


_SPANS = tracing.RecordSpans("bench")


async def _handle() -> None:
    with _SPANS.handling((RECORD,)):
        await _handle_bare()


PATHS: dict[str, tuple[Path, Path]] = {
    "publish": (_publish_bare, _publish),
    "handle": (_handle_bare, _handle),
}


async def _cpu_us(path: Path, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        await path()
    return (time.process_time() - began) / count * 1e6


def _record_into_nothing() -> None:
    use_backend(
        SdkBackend(
            service="bench",
            instance="bench",
            sampler=make_sampler("always_on", 1.0),
            processor=SpanProcessor(),
        )
    )


async def compare(*, count: int, rounds: int) -> dict[str, Any]:
    """Return µs of CPU of each path, and the ratios to the path without tracing."""
    found: dict[str, Any] = {}
    for name, (bare, traced) in PATHS.items():
        seen: dict[str, list[float]] = {"bare": [], "off": [], "on": []}
        for _ in range(rounds):
            seen["bare"].append(await _cpu_us(bare, count))
            seen["off"].append(await _cpu_us(traced, count))
            _record_into_nothing()
            seen["on"].append(await _cpu_us(traced, count))
            use_backend(None)
        found[name] = {
            "us": {way: round(statistics.median(times), 2) for way, times in seen.items()},
            "ratio": {
                way: round(
                    statistics.median(a / b for a, b in zip(seen[way], seen["bare"], strict=True)),
                    3,
                )
                for way in ("off", "on")
            },
        }
    ok = all(each["ratio"]["off"] <= LIMIT for each in found.values())
    return {**found, "limit": LIMIT, "ok": ok}


async def main(count: int = 4000, rounds: int = 15) -> int:
    """Measure and print one line of JSON; return 1 if tracing that is off costs too much."""
    result = await compare(count=count, rounds=rounds)
    print(json.dumps({"tracing": result}), flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
