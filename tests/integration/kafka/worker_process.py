"""A worker as a process of its own, for tests that kill it. Run by path with a JSON argument.

Every handling is noted by one line in the file of effects, written in one go, so that a SIGKILL
leaves whole lines: `{member, key, number, partition, offset, seen, phase, at}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from typing import Any

import tongban_common.faultpoints  # noqa: F401 - reads TONGBAN_FAULTPOINTS for tongban_kafka, too
from tongban_kafka import EventProducer, Poison, Record, Worker, WorkerConfig, prepare_aiokafka


class Effects:
    """The world outside, on which a handler acts."""

    def __init__(self, path: str, member: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._member = member

    def note(self, phase: str, record: Record | None = None) -> None:
        line: dict[str, Any] = {"member": self._member, "phase": phase, "at": time.monotonic()}
        if record is not None and record.key is not None and record.value is not None:
            line |= {
                "key": record.key.decode(),
                "number": int(record.value),
                "partition": record.partition,
                "offset": record.offset,
                "seen": record.maybe_seen or record.attempt > 1,
            }
        os.write(self._file, json.dumps(line).encode() + b"\n")


async def main(asked: dict[str, Any]) -> None:
    effects = Effects(asked["effects"], asked["member"])

    async def handle(record: Record) -> object:
        assert record.value is not None
        if int(record.value) in asked.get("poison", ()):
            raise Poison("asked for")
        effects.note("begin", record)
        if asked.get("latency"):
            await asyncio.sleep(random.random() * 2 * asked["latency"])
        effects.note("end", record)
        if target := asked.get("target"):
            return producer.send_nowait(
                target, key=record.key, value=record.value, headers=list(record.headers)
            )
        return None

    async with EventProducer(asked["kafka"]) as producer:
        worker = Worker(
            WorkerConfig(
                bootstrap=asked["kafka"],
                group=asked["group"],
                instance=asked.get("instance"),
                commit_interval=asked.get("commit_interval", 0.1),
                drain_timeout=asked.get("drain_timeout", 5.0),
                session_timeout=asked.get("session_timeout", 6.0),
                heartbeat_interval=asked.get("heartbeat_interval", 1.0),
                max_in_flight=asked.get("max_in_flight", 200),
            ),
            [asked["topic"]],
            handle,
            producer=producer,
        )
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, worker.stop)
        effects.note("start")
        await worker.run()
        effects.note("stopped")


if __name__ == "__main__":
    prepare_aiokafka()
    asyncio.run(main(json.loads(sys.argv[1])))
