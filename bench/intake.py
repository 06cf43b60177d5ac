"""Compare intake with a bare FastAPI route that sends the same record, and measure open event
streams.

One process of each, on one broker, in turns: requests accepted per second and CPU per request, as
the median of the rounds' ratios. Everything of intake is on: tokens, rate limits, validation, the
search for a repeat in the store, sealing, the read model. So many requests are under way that
neither server waits for its clients: intake queries the store for all that came within 20 ms. Then
2,000 streams are opened on requests that have a history. Run `python -m bench.intake`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer

from bench.bare_route import keep_sample
from bench.plain_topic import PlainTopic
from tongban_common import topics
from tongban_common.catalogue import Catalogue
from tongban_common.domain import ids
from tongban_common.domain.status import Status
from tongban_common.events import decode
from tongban_common.events.models import RequestStatus, RequestSubmitted
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import DEVELOPMENT_SECRET
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedStore
from tongban_devstack.kiosks import CROWDED_KIOSKS, Place, let_in
from tongban_devstack.ports import free_port
from tongban_intake.access import tokens
from tongban_kafka import EventProducer, apply_topics
from tongban_ops.catalogue.loader import load
from tongban_ops.catalogue.publish import publish

LEAST = 0.5
"""Minimum ratio to the bare route, for requests per second and, inverted, for CPU per request."""
MOST_MB = 150.0
"""Maximum memory of the streams."""
KIOSKS = 40
ROOT = Path(__file__).parents[1]


@dataclass
class Server:
    """A server process with its measurements."""

    process: asyncio.subprocess.Process
    url: str
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    @property
    def seen(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def cpu_seconds(self) -> float:
        times = self.seen.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        return float(self.seen.memory_info().rss) / 2**20


@contextlib.asynccontextmanager
async def running(*argv: str, env: dict[str, str], port: int) -> AsyncIterator[Server]:
    """Start a server process, yield it once /readyz answers, and end it on exit."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *argv, cwd=ROOT, env={**os.environ, **env},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    server = Server(process, f"http://127.0.0.1:{port}")
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                assert process.returncode is None, f"{argv} ended"
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{server.url}/readyz") as reply:
                        if reply.status == 200:
                            break
                await asyncio.sleep(0.1)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def bodies(catalogue: Catalogue) -> Iterator[bytes]:
    """Yield submissions of all items in turn, for ever."""
    made = [
        json.dumps(
            {
                "item_code": item.code,
                "channel": "self_service",
                "applicant": item.example_applicant,
                "form": item.example_form,
            }
        ).encode()
        for item in catalogue
    ]
    while True:
        yield from made


async def load_on(server: Server, sent: Iterator[bytes], count: int, at_once: int) -> None:
    """Submit `count` requests, `at_once` of them concurrently, and record rate and CPU."""
    bearers = [
        tokens.issue(DEVELOPMENT_SECRET, kiosk_id=f"k-{n}", branch_id="b-1") for n in range(KIOSKS)
    ]
    left = iter(range(count))
    mark = time.monotonic_ns()

    async def kiosk(http: aiohttp.ClientSession) -> None:
        for number in left:
            headers = {
                "Authorization": f"Bearer {bearers[number % KIOSKS]}",
                "Idempotency-Key": f"bench-{mark}-{number}",
                "Content-Type": "application/json",
            }
            async with http.post(
                f"{server.url}/v1/requests", data=next(sent), headers=headers
            ) as reply:
                said = await reply.json()
                assert reply.status == 202, said
                server.accepted.append(said.get("request_id", ""))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        began, cpu = time.monotonic(), server.cpu_seconds()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(kiosk(http))
    server.rates.append(count / (time.monotonic() - began))
    server.cpu_us.append((server.cpu_seconds() - cpu) / count * 1e6)


async def give_history(kafka: str, request_ids: set[str]) -> None:
    """Publish two statuses of each request, as the router would."""
    consumer = AIOKafkaConsumer(
        topics.REQUESTS_SUBMITTED, bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    left = set(request_ids)
    async with consumer, EventProducer(kafka, linger_ms=5, delivery_timeout=30.0) as producer:
        publisher = EventPublisher(producer, "bench")
        while left:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                told = []
                for record in records:
                    of = decode(record.value, record.headers).body
                    if isinstance(of, RequestSubmitted) and of.request_id in left:
                        left.remove(of.request_id)
                        told += [_tell(publisher, of, 1), _tell(publisher, of, 2)]
                await asyncio.gather(*told)


async def _tell(publisher: EventPublisher, of: RequestSubmitted, seq: int) -> None:
    status = RequestStatus(
        request_id=of.request_id,
        seq=seq,
        status=Status.SUBMITTED if seq == 1 else Status.ROUTED,
        at=of.submitted_at,
        by="bench",
        item=of.item,
        origin=of.origin,
        applicant=of.applicant,
        submitted_at=of.submitted_at,
        print=of.print,
        body_digest=of.body_digest,
        sealed=of.sealed,
    )
    event_id = ids.derived_id("bench", of.request_id, seq)
    await publisher.publish(topics.REQUESTS_STATUS, status, event_id=event_id, at=of.submitted_at)


async def streams_cost(server: Server, request_ids: list[str]) -> float:
    """Return the MB of memory of one open stream for each id, after all sent their history."""
    token = tokens.issue(DEVELOPMENT_SECRET, kiosk_id="k-0", branch_id="b-1")
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=None)
    opening = asyncio.Semaphore(50)
    async with contextlib.AsyncExitStack() as held:
        http = await held.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        )

        async def read(path: str) -> None:
            async with opening:
                reply = await http.get(server.url + path, headers=headers)
                held.callback(reply.close)
                assert reply.status == 200
                async with asyncio.timeout(60):
                    while not (await reply.content.readline()).startswith(b"id: 2"):
                        pass

        before = server.memory_mb()
        await asyncio.gather(*(read(f"/v1/requests/{each}/events") for each in request_ids))
        return server.memory_mb() - before


@contextlib.asynccontextmanager
async def _scene(scratch: Path) -> AsyncIterator[tuple[str, str, Catalogue]]:
    async with (
        EmbeddedKafka(scratch / "kafka") as broker,
        EmbeddedStore(scratch / "store") as store,
    ):
        await apply_topics(broker.address, topics.TOPICS.values())
        await apply_topics(broker.address, [PlainTopic("bench.bare")])
        catalogue = load(ROOT / "catalogue")
        await publish(broker.address, catalogue)
        await let_in(broker.address, (Place(f"k-{n}", "b-1") for n in range(KIOSKS)))
        yield broker.address, store.address, catalogue


async def measure(
    scratch: Path, *, requests: int, rounds: int, at_once: int, streams: int
) -> dict[str, Any]:
    """Run all measurements; ratios compare intake with the bare route."""
    async with _scene(scratch) as (kafka, store, catalogue):
        port, bare_port = free_port(), free_port()
        environment = {
            **CROWDED_KIOSKS,
            "TONGBAN_ENVIRONMENT": "development",
            "TONGBAN_KAFKA": kafka,
            "TONGBAN_STORE": store,
            "TONGBAN_HTTP_PORT": str(port),
            "TONGBAN_INSTANCE": "bench",
        }
        program = str(Path(sys.executable).with_name("tongban-intake"))
        sample = scratch / "sample.json"
        route = ("-m", "bench.bare_route", str(bare_port), kafka, "bench.bare", str(sample))
        async with contextlib.AsyncExitStack() as servers:
            sent = bodies(catalogue)
            intake = await servers.enter_async_context(running(program, env=environment, port=port))
            await load_on(intake, sent, 1, 1)
            await keep_sample(kafka, topics.REQUESTS_SUBMITTED, sample)
            bare = await servers.enter_async_context(running(*route, env={}, port=bare_port))
            for server in (intake, bare):  # warm-up: code, caches and the broker's compiler
                await load_on(server, sent, max(500, requests // 3), at_once)
                server.rates.clear()
                server.cpu_us.clear()
            for _ in range(rounds):
                await load_on(bare, sent, requests, at_once)
                await load_on(intake, sent, requests, at_once)
            watched = intake.accepted[-streams:]
            await give_history(kafka, set(watched))
            await streams_cost(intake, watched[: streams // 20])  # what only the first ones load
            megabytes = await streams_cost(intake, watched)
    rate = statistics.median(a / b for a, b in zip(intake.rates, bare.rates, strict=True))
    cpu = statistics.median(b / a for a, b in zip(intake.cpu_us, bare.cpu_us, strict=True))
    return {
        "accepted_per_s": {
            "bare": round(statistics.median(bare.rates)),
            "intake": round(statistics.median(intake.rates)),
        },
        "cpu_us_per_request": {
            "bare": round(statistics.median(bare.cpu_us)),
            "intake": round(statistics.median(intake.cpu_us)),
        },
        "ratio": {"accepted_per_s": round(rate, 3), "cpu": round(cpu, 3)},
        "streams": {"open": len(watched), "mb": round(megabytes, 1), "limit_mb": MOST_MB},
        "limit": LEAST,
        "ok": min(rate, cpu) >= LEAST and megabytes < MOST_MB,
    }


async def main() -> int:
    """Measure and print one line of JSON; return 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=128)
    parser.add_argument("--streams", type=int, default=2000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = await measure(
            Path(scratch),
            requests=asked.requests,
            rounds=asked.rounds,
            at_once=asked.at_once,
            streams=asked.streams,
        )
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
