"""Compare the worker's CPU with that of a bare aiokafka loop, for the same relay in the same run.

Both read a topic and forward each record without waiting for each acknowledgement, and commit twice
a second what was acknowledged. Quix Streams does the same beside them, where installed. Rounds
alternate; the result is the median of the ratios. Run `python -m bench.worker`; `TONGBAN_KAFKA`
names a running broker.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import CollectorRegistry

from bench.plain_topic import PlainTopic
from tongban_common.settings import CommonSettings, load
from tongban_kafka import (
    EventProducer,
    KafkaAddress,
    Record,
    Worker,
    WorkerConfig,
    apply_topics,
    client_options,
)

LIMIT = 1.15
"""Maximum CPU ratio of the worker to the bare loop."""
PARTITIONS = 12
COMMIT_INTERVAL = 0.5
QUIX = Path(__file__).parents[1] / ".venv-bench/bin/python"
"""Interpreter with the packages of `bench/requirements.lock`."""


@dataclass(frozen=True)
class Scene:
    """Topics and size of the relay."""

    kafka: KafkaAddress
    source: str
    target: str
    records: int
    linger_ms: int

    def group(self) -> str:
        return f"bench-{uuid.uuid4().hex[:8]}"


async def bare(scene: Scene) -> float:
    """Run the hand-written loop; return µs of CPU per record."""
    consumer = AIOKafkaConsumer(
        scene.source,
        **client_options(scene.kafka),
        group_id=scene.group(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(
        **client_options(scene.kafka),
        enable_idempotence=True,
        acks="all",
        linger_ms=scene.linger_ms,
    )
    began = time.process_time()
    async with producer, consumer:
        relayed, commit_at = 0, time.monotonic() + COMMIT_INTERVAL
        while relayed < scene.records:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    await producer.send(
                        scene.target, record.value, record.key, headers=list(record.headers)
                    )
                    relayed += 1
            if time.monotonic() >= commit_at:
                await producer.flush()
                await consumer.commit()
                commit_at = time.monotonic() + COMMIT_INTERVAL
        await producer.flush()
        await consumer.commit()
    return (time.process_time() - began) / scene.records * 1e6


async def _worker(
    scene: Scene, handler_of: Callable[[EventProducer], Callable[[Record], Any]]
) -> float:
    group = scene.group()
    await apply_topics(scene.kafka, [PlainTopic(f"{group}.dlt", 1)])
    began = time.process_time()
    async with EventProducer(scene.kafka, linger_ms=scene.linger_ms) as producer:
        worker = Worker(
            WorkerConfig(bootstrap=scene.kafka, group=group, commit_interval=COMMIT_INTERVAL),
            [scene.source],
            handler_of(producer),
            producer=producer,
            registry=CollectorRegistry(),
        )
        running = asyncio.create_task(worker.run())
        while worker.progress().handled < scene.records:
            await asyncio.sleep(0.02)
        worker.stop()
        await running
    return (time.process_time() - began) / scene.records * 1e6


async def plain(scene: Scene) -> float:
    """Run the worker with a plain function that returns the delivery future."""

    def handler_of(producer: EventProducer) -> Callable[[Record], asyncio.Future[Any]]:
        target = scene.target

        def relay(record: Record) -> asyncio.Future[Any]:
            return producer.send_nowait(
                target, key=record.key, value=record.value, headers=list(record.headers)
            )

        return relay

    return await _worker(scene, handler_of)


async def lanes(scene: Scene) -> float:
    """Run the worker with a coroutine function that returns the delivery future."""

    def handler_of(producer: EventProducer) -> Callable[[Record], Awaitable[Any]]:
        target = scene.target

        async def relay(record: Record) -> asyncio.Future[Any]:
            return producer.send_nowait(
                target, key=record.key, value=record.value, headers=list(record.headers)
            )

        return relay

    return await _worker(scene, handler_of)


async def raw(scene: Scene) -> float:
    """Run the worker with the producer of the bare loop."""
    producer = AIOKafkaProducer(
        **client_options(scene.kafka),
        enable_idempotence=True,
        acks="all",
        linger_ms=scene.linger_ms,
    )

    async def relay(record: Record) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = await producer.send(
            scene.target, record.value, record.key, headers=list(record.headers)
        )
        return sent

    async with producer:
        return await _worker(scene, lambda _: relay)


async def awaiting(scene: Scene) -> float:
    """Run the worker with a coroutine function that awaits each acknowledgement. It has no limit,
    because the bare loop waits for none."""

    def handler_of(producer: EventProducer) -> Callable[[Record], Awaitable[None]]:
        target = scene.target

        async def relay(record: Record) -> None:
            await producer.send(
                target, key=record.key, value=record.value, headers=list(record.headers)
            )

        return relay

    return await _worker(scene, handler_of)


async def quix(scene: Scene) -> float:
    """Run Quix Streams in its own process (`bench._quix_relay`), without a limit: its client is
    librdkafka, which is written in C."""
    process = await asyncio.create_subprocess_exec(
        str(QUIX), str(Path(__file__).with_name("_quix_relay.py")),
        "--kafka", str(scene.kafka), "--group", scene.group(),
        "--source", scene.source, "--target", scene.target,
        "--records", str(scene.records), "--linger-ms", str(scene.linger_ms),
        "--commit-interval", str(COMMIT_INTERVAL),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"quix_relay: {complaint.decode()[-500:]}")
    return float(said) / scene.records * 1e6


async def _fill(scene: Scene, size: int) -> None:
    await apply_topics(
        scene.kafka, [PlainTopic(scene.source, PARTITIONS), PlainTopic(scene.target, PARTITIONS)]
    )
    headers = [("ce_id", b"0" * 32), ("ce_type", b"tongban.request.submitted.v1")]
    async with EventProducer(scene.kafka, linger_ms=5, delivery_timeout=30.0) as producer:
        for number in range(scene.records):
            key = b"%032d" % number
            producer.send_nowait(scene.source, key=key, value=b"x" * size, headers=headers)
            if number % 500 == 0:
                await asyncio.sleep(0.01)
        await producer.stop(timeout=60.0)


async def compare(
    kafka: KafkaAddress, *, records: int, rounds: int, linger_ms: int
) -> dict[str, Any]:
    """Return medians over the rounds: µs per record, and ratios to the bare loop."""
    mark = uuid.uuid4().hex[:8]
    scene = Scene(kafka, f"bench.in.{mark}", f"bench.out.{mark}", records, linger_ms)
    await _fill(scene, size=600)
    kinds = {"bare": bare, "plain": plain, "lanes": lanes, "raw": raw, "awaiting": awaiting}
    if QUIX.exists():
        kinds["quix"] = quix
    else:
        print("without Quix Streams: `make bench` installs it beside the product", file=sys.stderr)
    for kind in kinds.values():
        await kind(scene)  # warm-up: code, caches and the broker's compiler
    seen: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            seen[name].append(await kind(scene))
    ratios = {
        name: statistics.median(ours / base for ours, base in zip(times, seen["bare"], strict=True))
        for name, times in seen.items()
        if name != "bare"
    }
    return {
        "cpu_us_per_record": {name: round(statistics.median(t), 1) for name, t in seen.items()},
        "ratio": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "limit": LIMIT,
        "ok": max(ratios["plain"], ratios["lanes"]) <= LIMIT,
    }


@contextlib.asynccontextmanager
async def _kafka() -> AsyncIterator[KafkaAddress]:
    if os.environ.get("TONGBAN_KAFKA"):
        yield load(CommonSettings).cluster
        return
    from tongban_devstack.embedded import EmbeddedKafka  # noqa: PLC0415 - only where it is needed

    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedKafka(Path(scratch) / "kafka") as broker:
            yield broker.address


async def main() -> int:
    """Measure and print one line of JSON; return 1 if a ratio exceeds the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--linger-ms", type=int, default=5)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    async with _kafka() as kafka:
        result = await compare(
            kafka, records=asked.records, rounds=asked.rounds, linger_ms=asked.linger_ms
        )
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
