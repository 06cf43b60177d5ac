"""Runs a whole worker on the fetcher of fetcher_kit, without a broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from tests.unit.kafka.fetcher_kit import Wire
from tongban_kafka import Record, RetryPolicy, Worker, WorkerConfig
from tongban_kafka.commits import Note, no_note

QUICK = RetryPolicy(first=0.001, longest=0.002)


class Letters:
    """Collects the dead letters that are written to it."""

    def __init__(self) -> None:
        self.written: list[dict[str, bytes]] = []

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> None:
        assert topic == "g.dlt"
        self.written.append({**dict(headers), "key": key or b"", "value": value or b""})


class WiredWorker(Worker):
    """Runs a worker that is assigned all partitions of a Wire at once."""

    def __init__(self, wire: Wire, handler: Any, *, note: Note = no_note, **config: Any) -> None:
        self.letters = Letters()
        self.registry = CollectorRegistry()
        options: dict[str, Any] = {
            "commit_interval": 0.005, "session_timeout": 600.0, "fetch_wait": 0.01,
            "drain_timeout": 1.0, "fetch_apart": 0.0, "retry": QUICK,
        }  # fmt: skip
        super().__init__(
            WorkerConfig(bootstrap="", group="g", **{**options, **config}),
            ["t"],
            handler,
            producer=self.letters,
            note=note,
            registry=self.registry,
        )
        self.wire = wire

    async def _connect(self) -> Any:
        self._health.consumer = self.wire
        self._lease.renew(*self._lease.sending())
        self._assigned(self.wire.assignment())
        return self.wire

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"tongban_worker_{name}", {"group": "g", **labels})
        return value or 0.0


@contextlib.asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Run the worker; stop it at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        await asyncio.wait([task], timeout=20)
    await task


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail after 20 s."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it looks at has no event
            await asyncio.sleep(0.001)


class Handled:
    """Collects the records that it is called with as a handler."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def __call__(self, record: Record) -> None:
        self.records.append(record)

    def offsets(self, topic: str) -> list[int]:
        return [record.offset for record in self.records if record.topic == topic]
