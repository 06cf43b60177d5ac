"""Compare the whole chain with one that promises nothing (`bench.bare_chain`), on one machine.

Both get the same load at the same rates, each on its own broker and store, in alternating rounds:
latency from the kiosk's submission to the final state, and the CPU of everything: broker, store,
simulated outside, services and the load itself. Run `python -m bench.beside_bare`, with
`--rates 50 100` for other rates and `--only whole` or `--only bare` for one of the two.
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
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer
from motor.motor_asyncio import AsyncIOMotorClient

from bench import bare_chain
from bench._cpu import cpu_seconds
from bench.plain_topic import PlainTopic
from tongban_common.catalogue.models import Item
from tongban_devstack.load import Load, Target
from tongban_devstack.load.submissions import example_body
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildSpec
from tongban_devstack.quantiles import quantiles_ms
from tongban_devstack.readiness import http_probe
from tongban_devstack.stack import OUTSIDE, SERVICES, Stack, StackOptions
from tongban_kafka import apply_topics, client_options
from tongban_ops.catalogue.loader import load as load_catalogue

RATES = (50.0, 100.0, 150.0)
SECONDS = 12.0
ROUNDS = 2
WITHIN_MS = 1000.0
"""p99 above which a rate is not held."""
GOALS_MS = {50.0: {"p50": 60.0, "p99": 150.0}, 100.0: {"p50": 120.0, "p99": 300.0}}
SERVICES_GOAL_MS = 6.0
"""Most CPU of the services for a request at 100 a second."""
KIOSK = ("k-310115-001", "b-310115-01")
_SERVERS = ("kafka", "store")


class Chain(Protocol):
    """Stands for a chain that is measured."""

    async def run(self, rate: float, seconds: float) -> list[float]:
        """Submit at a rate; return the seconds from due to the final state, of all requests.

        Raises:
            RuntimeError: not every request ended.
        """

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of each part so far."""

    async def used(self) -> dict[str, float]:
        """Return the bytes of all topics and the commands of the store so far."""


class WholeChain:
    """The system as it is."""

    def __init__(self, stack: Stack, load: Load) -> None:
        self._stack = stack
        self._load = load

    async def run(self, rate: float, seconds: float) -> list[float]:
        result = await self._load.run(rate=rate, seconds=seconds, patience_s=60)
        if result.unfinished or set(result.answers) != {"202"}:
            raise RuntimeError(f"not everything ended: {result.report()}")
        return result.finished()

    def cpu_s(self) -> dict[str, float]:
        names = (*_SERVERS, *OUTSIDE, *SERVICES)
        found = {name: sum(map(cpu_seconds, self._stack.pids(name))) for name in names}
        return {**found, "load": cpu_seconds(os.getpid(), children=False)}

    async def used(self) -> dict[str, float]:
        return await used_by(self._stack)


class BareChain:
    """The chain of `bench.bare_chain`."""

    def __init__(self, stack: Stack, url: str, items: Sequence[Item]) -> None:
        self._stack = stack
        self._url = url
        self._bodies = [example_body(item) for item in items]
        self._ended: dict[str, float] = {}

    async def run(self, rate: float, seconds: float) -> list[float]:
        due_at: dict[str, float] = {}

        async def submit(number: int, due: float) -> None:
            body = self._bodies[number % len(self._bodies)]
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            async with http.post(f"{self._url}/v1/requests", json=body, headers=headers) as reply:
                due_at[(await reply.json())["request_id"]] = due

        began, asked = time.monotonic(), 0
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as tasks:
            while (due := began + asked / rate) < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(submit(asked, due))
                asked += 1
        deadline = time.monotonic() + 60
        while not due_at.keys() <= self._ended.keys():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(due_at.keys() - self._ended.keys())} did not end")
            await asyncio.sleep(0.1)
        return [self._ended[request_id] - due for request_id, due in due_at.items()]

    async def read(self) -> None:
        """Note the ends of requests until it is cancelled."""
        options = client_options(self._stack.cluster)
        async with AIOKafkaConsumer(bare_chain.STATUS, **options) as consumer:
            async for record in consumer:
                body = json.loads(record.value)
                if body["status"] == "completed":
                    self._ended[body["request_id"]] = time.monotonic()

    def cpu_s(self) -> dict[str, float]:
        names = (*_SERVERS, *bare_chain.ROLES)
        found = {name: cpu_seconds(self._stack.supervisor.pid(name)) for name in names}
        return {**found, "load": cpu_seconds(os.getpid(), children=False)}

    async def used(self) -> dict[str, float]:
        return await used_by(self._stack)


async def used_by(stack: Stack) -> dict[str, float]:
    """Return the bytes of all topics, and how many commands of each kind the store has done."""
    logs = (stack.data / "kafka" / "topics").glob("*/*.log")
    client: Any = AsyncIOMotorClient(stack.store)
    try:
        counted = (await client.admin.command("serverStatus"))["opcounters"]
    finally:
        client.close()
    commands = {f"store_{kind}": counted[kind] for kind in ("insert", "query", "update")}
    return {"topics_bytes": sum(log.stat().st_size for log in logs), **commands}


@asynccontextmanager
async def whole(data: Path, items: Sequence[Item]) -> AsyncIterator[Chain]:
    """Run the system."""
    async with Stack(StackOptions(data=data)) as stack:
        target = Target(stack.intake, await stack.token(*KIOSK), stack.cluster)
        async with Load(target, items) as load:
            yield WholeChain(stack, load)


@asynccontextmanager
async def bare(data: Path, items: Sequence[Item]) -> AsyncIterator[Chain]:
    """Run the bare chain."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(Stack(StackOptions(data=data, services=False)))
        await apply_topics(stack.cluster, [PlainTopic(name) for name in bare_chain.TOPICS])
        ports = {role: free_port() for role in bare_chain.ROLES}
        urls = {role: f"http://127.0.0.1:{port}" for role, port in ports.items()}
        for role, port in ports.items():
            argv = [sys.executable, "-m", "bench.bare_chain", role, str(port), stack.kafka]
            argv += [stack.store, urls["outside"]]
            spec = ChildSpec(role, argv, data / "logs" / f"{role}.log", dict(os.environ))
            stack.supervisor.start(spec, probe=http_probe(f"{urls[role]}/readyz"), tier=2)
        await stack.supervisor.ready()
        chain = BareChain(stack, urls["intake"], items)
        reading = asyncio.create_task(chain.read())
        exits.callback(reading.cancel)
        await asyncio.sleep(5.0)  # until the groups have their partitions
        yield chain


_CHAINS: dict[str, Callable[[Path, Sequence[Item]], Any]] = {"whole": whole, "bare": bare}


async def measured(name: str, rates: Sequence[float], seconds: float) -> list[dict[str, Any]]:
    """Return latency and CPU of one chain at each rate, until it falls behind."""
    items = [item for item in load_catalogue() if not item.printable]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as scratch:
        async with _CHAINS[name](Path(scratch), items) as chain:
            await chain.run(20.0, 5.0)  # warm-up
            await chain.run(50.0, 5.0)
            for rate in rates:
                before, used = chain.cpu_s(), await chain.used()
                latency = quantiles_ms(await chain.run(rate, seconds))
                after, more = chain.cpu_s(), await chain.used()
                asked = rate * seconds
                cpu = {part: (after[part] - before[part]) / asked * 1000 for part in after}
                uses = {name: (more[name] - used[name]) / asked for name in more}
                found.append({"rate": rate, **latency, "cpu_ms": cpu, "uses": uses})
                print(f"{name:6} {_described(found[-1])}", file=sys.stderr, flush=True)
                if latency["p99"] > 5 * WITHIN_MS:
                    break
    return found


def _described(seen: dict[str, Any]) -> str:
    cpu = seen["cpu_ms"]
    parts = " ".join(f"{part} {ms:.1f}" for part, ms in cpu.items())
    return (
        f"{seen['rate']:5.0f}/s  p50 {seen['p50']:7.1f}  p99 {seen['p99']:7.1f} ms"
        f"  CPU {sum(cpu.values()):5.1f} ms: {parts}"
    )


def _summary(runs: dict[str, list[list[dict[str, Any]]]]) -> dict[str, Any]:
    """Return the medians of all rounds, by chain and rate."""
    summary: dict[str, Any] = {}
    for name, rounds in runs.items():
        by_rate: dict[float, list[dict[str, Any]]] = {}
        for each in rounds:
            for seen in each:
                by_rate.setdefault(seen["rate"], []).append(seen)
        summary[name] = {
            f"{rate:g}": {
                "parts_ms": _medians(seen["cpu_ms"] for seen in all_),
                "uses": _medians(seen["uses"] for seen in all_),
                "p50_ms": _median(seen["p50"] for seen in all_),
                "p99_ms": _median(seen["p99"] for seen in all_),
                "cpu_ms": _median(sum(seen["cpu_ms"].values()) for seen in all_),
                "services_ms": _median(
                    sum(ms for part, ms in seen["cpu_ms"].items() if part in SERVICES)
                    for seen in all_
                ),
            }
            for rate, all_ in by_rate.items()
        }
    return summary


def _median(values: Any) -> float:
    return round(statistics.median(values), 1)


def _medians(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    found = list(rounds)
    return {name: round(statistics.median(each[name] for each in found), 2) for name in found[0]}


def _judged(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios, the highest rate that was held, and whether all goals are reached."""
    ours, theirs = summary.get("whole", {}), summary.get("bare", {})
    ratios = {
        rate: round(ours[rate]["cpu_ms"] / theirs[rate]["cpu_ms"], 2)
        for rate in ours
        if rate in theirs
    }
    held = [float(rate) for rate, seen in ours.items() if seen["p99_ms"] < WITHIN_MS]
    latency = all(
        f"{rate:g}" in ours and ours[f"{rate:g}"][f"{q}_ms"] <= limit
        for rate, goal in GOALS_MS.items()
        for q, limit in goal.items()
    )
    services = ours.get("100", {}).get("services_ms", float("inf")) <= SERVICES_GOAL_MS
    held_rate = max(held, default=0.0)
    cheap = bool(ratios) and max(ratios.values()) <= 1.0
    ok = latency and services and cheap and held_rate >= max(RATES)
    return {"cpu_ratio": ratios, "held_rate": held_rate, "ok": ok}


async def main() -> int:
    """Measure, print one line of JSON; return 1 if a goal is missed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=_CHAINS)
    asked = parser.parse_args()
    names = [asked.only] if asked.only else list(_CHAINS)
    runs: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in names}
    for _ in range(asked.rounds):
        for name in names:
            runs[name].append(await measured(name, asked.rates, asked.seconds))
    summary = _summary(runs)
    result = {**summary, **_judged(summary)}
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
