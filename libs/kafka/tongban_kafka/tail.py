"""Delivers new records of topics to every process that listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from tongban_kafka.boot_clock import uptime
from tongban_kafka.reader import Reader
from tongban_kafka.record import Record
from tongban_kafka.security import KafkaAddress

log = structlog.get_logger(__name__)


class BroadcastTail(Reader):
    """Calls `on_record` with each record that is written to the topics after the start.

    Every process gets every record. After an interruption the tail continues where it was. Records
    from before the start are not delivered: a caller that needs them starts the tail first and
    then reads its store, so that no record falls in between.

    Args:
        on_record: called in the event loop, in order within a partition. It must not block. Its
            exceptions are logged, and the next record follows.
        on_loss: called in the event loop after an unreadable batch was passed over.
    """

    def __init__(
        self,
        bootstrap: KafkaAddress,
        topics: Sequence[str],
        on_record: Callable[[Record], None],
        *,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(bootstrap, topics)
        self._on_record = on_record
        self._on_loss = on_loss
        self._positions: dict[Any, int] = {}
        self._listening = asyncio.Event()
        self._opened_at = 0.0

    @property
    def listening(self) -> bool:
        """Return True once every record that arrives is delivered, at once or after an
        interruption."""
        return self._listening.is_set()

    async def wait_listening(self) -> None:
        """Return once `listening`."""
        await self._listening.wait()

    async def _opened(self, consumer: Any) -> None:
        self._opened_at = uptime()
        partitions = consumer.assignment()
        new = [tp for tp in partitions if tp not in self._positions]
        # A partition that was added while the tail was listening is read from its beginning.
        if new and not self.listening:
            self._positions.update(await consumer.end_offsets(new))
        for tp in partitions:
            consumer.seek(tp, self._positions.setdefault(tp, 0))
        self._listening.set()

    def _passed_over(self, tp: Any, _first: int, after: int) -> None:
        self._positions[tp] = after
        self._on_loss()

    def _records(self, tp: Any, raws: Sequence[Any]) -> None:
        for raw in raws:
            record = Record.of(raw, maybe_seen=False, assigned_at=self._opened_at)
            try:
                self._on_record(record)
            except Exception as error:
                log.error("on_record_failed", place=record.place, error=type(error).__name__)
        self._positions[tp] = raws[-1].offset + 1
