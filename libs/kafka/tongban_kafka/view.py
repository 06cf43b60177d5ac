"""Views a compacted topic as a mapping in memory."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import structlog

from tongban_kafka import refusals
from tongban_kafka.errors import ConsumerFailedError
from tongban_kafka.holes import Hole, Holes
from tongban_kafka.reader import Reader
from tongban_kafka.security import KafkaAddress

log = structlog.get_logger(__name__)
Value = TypeVar("Value")
OnChange = Callable[[str, Value | None], None]
_READ_AGAIN_S = 60.0
"""Seconds after which a topic with a hole is read again: another replica may have the batch
intact."""


class CompactedView(Reader, Generic[Value]):
    """Maps every key of a compacted topic to its newest value. Each process reads the whole topic.

    It suits topics of some thousand keys. After an interruption the topic is read again and
    compared, so that keys which were deleted and compacted away meanwhile disappear. Until then the
    mapping keeps its values.

    Args:
        decode: converts the bytes of a value. A record that it cannot decode is logged, and its key
            keeps the older value: one bad record must not disable the whole view.
        on_change: called in the event loop with key and new value (None: deleted), also during the
            first reading. It must not block; its exceptions are logged.
    """

    def __init__(
        self,
        bootstrap: KafkaAddress,
        topic: str,
        decode: Callable[[bytes], Value],
        *,
        on_change: OnChange[Value] | None = None,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(bootstrap, [topic], client=client)
        self._decode = decode
        self._holes = Holes()
        self._read_again_at = 0.0
        self._on_change = on_change
        self._values: dict[str, Value] = {}
        self._loading: dict[str, Value] | None = None
        self._ends: dict[Any, int] = {}
        self._ready = asyncio.Event()
        self.undecodable = 0

    @property
    def values(self) -> Mapping[str, Value]:
        """Return a live, read-only view of the present values."""
        return MappingProxyType(self._values)

    def get(self, key: str) -> Value | None:
        """Return the newest value of a key, or None."""
        return self._values.get(key)

    @property
    def ready(self) -> bool:
        """Return True once everything that was on the topic at the start has been read."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Return once `ready`."""
        await self._ready.wait()

    def readiness(self) -> str | None:
        """Return None, or the reason why the view cannot be used yet."""
        return None if self.ready else refusals.explain(f"{self.topics[0]} has not been read yet")

    async def _opened(self, consumer: Any) -> None:
        self._loading = {}
        self._begin()
        self._ends = await consumer.end_offsets(consumer.assignment())
        # An empty topic has nothing to wait for.
        await self._turned(consumer)

    def _records(self, _: Any, raws: Sequence[Any]) -> None:
        for raw in raws:
            if raw.key is None:
                self._undecodable(raw, "no key")
                continue
            try:
                key = raw.key.decode()
                if self._holes.keep_acceptance(key, raw.value):
                    continue
                value = None if raw.value is None else self._decode(raw.value)
            except Exception as error:
                self._undecodable(raw, _kind(error))
                continue
            self._decoded(key)
            if self._loading is None:
                self._set(key, value)
            elif value is None:
                self._loading.pop(key, None)
            else:
                self._loading[key] = value

    def _undecodable(self, raw: Any, why: str) -> None:
        self.undecodable += 1
        log.error("record_undecodable", topic=raw.topic, offset=raw.offset, why=why)

    def _begin(self) -> None:
        """Forget the holes before the topic is read again: they may be readable now."""
        self._holes = Holes()

    def _decoded(self, key: str) -> None:
        """Act on a key whose record could be decoded."""

    def _passed_over(self, tp: Any, first: int, after: int) -> None:
        self._holes.found(Hole(tp.partition, first, after))
        self._read_again_at = time.monotonic() + _READ_AGAIN_S

    async def _turned(self, consumer: Any) -> None:
        if self._loading is None:
            if self._holes.open and time.monotonic() >= self._read_again_at:
                raise ConsumerFailedError(f"{self.topics[0]} has a hole and is read again")
            return
        for tp, end in self._ends.items():
            if await consumer.position(tp) < end:
                return
        loaded, self._loading = self._loading, None
        for key in [key for key in self._values if key not in loaded]:
            self._set(key, None)
        for key, value in loaded.items():
            if self._values.get(key) != value:
                self._set(key, value)
        self._ready.set()

    def _set(self, key: str, value: Value | None) -> None:
        if value is None:
            if self._values.pop(key, None) is None:
                return
        else:
            self._values[key] = value
        if self._on_change is None:
            return
        try:
            self._on_change(key, value)
        except Exception as error:
            log.error("on_change_failed", topic=self.topics[0], key=key, error=_kind(error))


def _kind(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at line {frames[-1].lineno}" if frames else type(error).__name__
