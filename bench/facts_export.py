"""Measure `tongban export` of many requests: `python -m bench.facts_export [REQUESTS] [DAYS]`.

It writes the events by `bench.facts_events` to a broker of its own and exports them twice. Of a
million requests the events take some 10 GB of disk, so this is no part of `make bench`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from bench.facts_events import Population, write_requests
from tongban_common.clock import CHINA
from tongban_common.topics import FACTS, TOPICS
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import apply_topics, prepare_aiokafka

_SAMPLE_S = 1.0


async def measure(requests: int, days: int) -> None:
    """Write the events, export them, and print times and memory."""
    prepare_aiokafka()
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory) / "kafka") as kafka:
            readable = [topic for topic in TOPICS.values() if FACTS in topic.readers]
            await apply_topics(kafka.address, readable)
            midnight = datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
            people = Population(midnight - timedelta(days=days), days=days)
            began = time.monotonic()
            events = await asyncio.to_thread(write_requests, kafka.address, people, range(requests))
            print(f"{events} events written in {time.monotonic() - began:.0f} s", flush=True)
            for what in ("first export", "same again"):
                print(f"{what}: {await _export(kafka.address, Path(directory) / 'facts')}")


async def _export(address: str, target: Path) -> str:
    before, began = os.times(), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("tongban")), "export", "--to", str(target),
        env={**os.environ, "TONGBAN_KAFKA": address},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0
    waiting = asyncio.create_task(process.wait())
    while not waiting.done():
        peak = max(peak, _memory(process.pid))
        await asyncio.wait({waiting}, timeout=_SAMPLE_S)
    after = os.times()
    cpu_s = (
        after.children_user + after.children_system
        - before.children_user - before.children_system
    )  # fmt: skip
    seconds = time.monotonic() - began
    cost = f"{seconds:.1f} s, {cpu_s:.1f} s of processor time, {peak / 1e6:.0f} MB"
    return f"{cost}, exit {waiting.result()}"


def _memory(pid: int) -> int:
    """Return the memory of a process and its children; shared pages are divided among them."""
    try:
        parent = psutil.Process(pid)
        return sum(
            each.memory_full_info().pss for each in (parent, *parent.children(recursive=True))
        )
    except psutil.Error:
        return 0


if __name__ == "__main__":
    os.environ.setdefault("TONGBAN_ENVIRONMENT", "development")
    given = [int(each) for each in sys.argv[1:]]
    asyncio.run(measure(*(given + [1_000_000, 30][len(given) :])))
