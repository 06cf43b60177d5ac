"""Compare what was accepted with the simulated outside: the gateways' ledger, printed sheets and
messages. The services' own counters are never used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from tongban_common.topics import TOPICS
from tongban_devstack.demo.day_runner import FINAL, Day
from tongban_devstack.quantiles import quantiles_ms
from tongban_devstack.stack import SERVICES, Stack
from tongban_kafka import KafkaAddress, client_options

ONCE_ONLY = frozenset(
    {"completed", "rejected", "withdrawn", "expired", "failed", "needs_supplement"}
)
"""Message templates that are sent at most once; a simulated province asks for one supplement only.
"""


@dataclass(slots=True)
class Account:
    """The report, and the requests that something is wrong with."""

    report: dict[str, Any]
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """Kind of problem -> request ids."""
    cases: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Published case -> final status of its request, and the kiosk."""

    @property
    def clean(self) -> bool:
        """Return True if nothing was lost and nothing was done twice."""
        return not any(self.wrong.values())


async def account(
    stack: Stack, day: Day, *, seconds: float, speed: float, memory_mb: int
) -> Account:
    """Query the simulated outside for effects, and compare them with what was accepted."""
    async with aiohttp.ClientSession() as http:
        ledger = await _read(http, f"{stack.gateways}/ledger")
        printed = await _read(http, f"{stack.devices}/printed")
        messages = await _read(http, f"{stack.devices}/messages")
    dead = await _dead_letters(stack.cluster)
    found = compare(
        day, ledger, printed, messages, dead_lettered=dead, seconds=seconds, speed=speed
    )
    found.report["memory_mb"] = memory_mb
    return found


def compare(
    day: Day,
    ledger: Iterable[dict[str, Any]],
    printed: Iterable[dict[str, Any]],
    messages: Iterable[dict[str, Any]],
    *,
    dead_lettered: int,
    seconds: float,
    speed: float,
) -> Account:
    """Compare accepted requests with effects, sheets and messages; a pure function."""
    effects = _count(ledger, "request_id", "effect")
    sheets = _count(printed, "request_id", "document_id", "copy")
    sent = _count(
        (m for m in messages if m["template"] in ONCE_ONLY), "request_id", "template", "to"
    )
    status = {r: str(day.seen.get(r, {}).get("status", "submitted")) for r in day.accepted}
    completed = {r for r, state in status.items() if state == "completed"}
    finals = {r for r, state in status.items() if state in FINAL}
    asked = {r for r in status if _was(day, r, "needs_supplement")}
    to_print = {r for r in completed if day.accepted[r].prints}
    sheet_of = {request for request, *_ in sheets}
    to_tell = {(r, status[r]) for r in finals} | {(r, "needs_supplement") for r in asked}
    told = {(request, template) for request, template, _ in sent}
    submitted = {request for (request, effect) in effects if effect == "submit"}
    wrong = {
        "lost: not final": sorted(set(status) - finals),
        "lost: completed, unknown to its province": sorted(completed - submitted),
        "province acted twice": sorted({r for (r, _), n in effects.items() if n > 1}),
        "printed twice": sorted({r for (r, *_), n in sheets.items() if n > 1}),
        "told twice": sorted({r for (r, *_), n in sent.items() if n > 1}),
        "sheet missing": sorted(to_print - sheet_of),
        "message missing": sorted({r for r, _ in to_tell - told}),
        "refused at the door": [f"{code}: {text}" for code, text in day.refused],
    }
    report = {
        "accepted": len(day.accepted),
        "final": len(finals),
        "by_status": dict(Counter(status.values())),
        "lost": len(set(status) - finals | (completed - submitted)),
        "province_duplicates": sum(n > 1 for n in effects.values()),
        "print_duplicates": sum(n > 1 for n in sheets.values()),
        "message_duplicates": sum(n > 1 for n in sent.values()),
        "prints_expected": len(to_print),
        "prints_done": len(to_print & sheet_of),
        "messages_expected": len(to_tell),
        "messages_done": len(to_tell & told),
        "dead_lettered": dead_lettered,
        "kills": {service: day.kills[service] for service in SERVICES},
        "latency_ms": _latency(day, completed, speed),
        "seconds": round(seconds, 1),
    }
    return Account(report, wrong, _cases(day, status))


def _cases(day: Day, status: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        visit.case: (status[request_id], visit.kiosk_id)
        for request_id, visit in sorted(day.accepted.items(), key=lambda each: each[1].key)
        if visit.case
    }


def _was(day: Day, request_id: str, state: str) -> bool:
    timeline = day.seen.get(request_id, {}).get("timeline", [])
    return any(entry["status"] == state and not entry.get("note") for entry in timeline)


def _count(lines: Iterable[dict[str, Any]], *names: str) -> Counter[tuple[Any, ...]]:
    counted: Counter[tuple[Any, ...]] = Counter()
    for line in lines:
        counted[tuple(line[name] for name in names)] += int(line["count"])
    return counted


def _latency(day: Day, completed: Iterable[str], speed: float) -> dict[str, float]:
    """Return wall milliseconds from submission to completion over the whole day, including the
    provinces' own time and the kills. Timelines are in business time."""
    spans = []
    for request_id in completed:
        answer = day.seen[request_id]
        ends = [entry["at"] for entry in answer["timeline"] if entry["status"] == "completed"]
        began = datetime.fromisoformat(answer["submitted_at"])
        spans.append((datetime.fromisoformat(ends[0]) - began).total_seconds() / speed)
    return quantiles_ms(spans)


async def _read(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with http.get(url) as reply:
        reply.raise_for_status()
        found: list[dict[str, Any]] = await reply.json()
        return found


async def _dead_letters(kafka: KafkaAddress) -> int:
    """Count the records on all dead-letter topics."""
    names = [name for name in TOPICS if name.endswith(".dlt")]
    consumer = AIOKafkaConsumer(**client_options(kafka))
    await consumer.start()
    try:
        partitions = [
            TopicPartition(name, n) for name in names for n in range(TOPICS[name].partitions)
        ]
        ends = await consumer.end_offsets(partitions)
        return sum(ends.values())
    finally:
        await consumer.stop()


async def keep(stack: Stack, account_: Account, out: Path, *, samples: int = 4) -> None:
    """Write report.json and some of the printed sheets to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(
        json.dumps(account_.report, ensure_ascii=False, indent=2) + "\n"
    )
    async with aiohttp.ClientSession() as http:
        for sheet in (await _read(http, f"{stack.devices}/printed"))[:samples]:
            async with http.get(f"{stack.devices}/printed/{sheet['order_id']}.pdf") as reply:
                if reply.status == 200:
                    (out / f"{sheet['order_id']}.pdf").write_bytes(await reply.read())
