"""Takes fetched records out of aiokafka partition by partition, and finds batches that it cannot
unpack.

aiokafka's `Fetcher.fetched_records` drains partition after partition into one answer and unpacks on
the way. Where one batch cannot be unpacked (an unknown codec, a wrong CRC, a header name that is
not UTF-8) it raises, and what it had drained of the others is gone although their positions have
moved. And it meets the same batch again in every later call: the router crash-looped until the
batch's retention was over. Here nothing is drained that is not returned, and such a batch is
returned as one `UnreadableBatch` in its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.consumer.fetcher import FetchResult
from prometheus_client import Counter

from tongban_common.kafka import UnreadableBatchError

log = structlog.get_logger()

_TRIES = 3
"""Fetches of a batch before it counts as unreadable: a CRC may be wrong on the wire alone."""
_UNREADABLE = Counter(
    "tongban_router_unreadable_batches_total", "Batches that could not be unpacked", ["topic"]
)


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """Stands for the records `first` to `last` of a partition, which cannot be unpacked."""

    first: int
    last: int
    error: str
    """Name of the exception's type. Its text may quote the record."""


class BatchReader:
    """Returns what an aiokafka `Fetcher` has fetched. To be used in the fetcher's own thread."""

    def __init__(self) -> None:
        self._tries: dict[Any, tuple[int, int]] = {}
        """Partition -> position of the batch that failed last, failures in a row."""

    async def read(
        self, fetcher: Any, wanted: Collection[Any] | None, timeout: float
    ) -> dict[Any, list[Any]]:
        """Wait at most `timeout` seconds for records of the wanted partitions (None: of all).

        A partition's list has its records in order; an `UnreadableBatch` may be the last of it.

        Raises:
            aiokafka.errors.KafkaError: the broker refused a fetch.
        """
        end = time.monotonic() + timeout
        while True:
            if fetcher._subscriptions.reassignment_in_progress:
                await fetcher._subscriptions.wait_for_assignment()
            taken = self._take(fetcher, wanted)
            left = end - time.monotonic()
            if taken or left <= 0:
                return taken
            waiter = fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=left)
            if not done or fetcher._closed:
                waiter.cancel()
                return {}
            waiter.result()

    def _take(self, fetcher: Any, wanted: Collection[Any] | None) -> dict[Any, list[Any]]:
        taken: dict[Any, list[Any]] = {}
        for tp, found in list(fetcher._records.items()):
            if wanted and tp not in wanted:
                if not fetcher._subscriptions.is_assigned(tp):
                    del fetcher._records[tp]
            elif isinstance(found, FetchResult):
                if records := self._unpack(fetcher, tp, found):
                    taken[tp] = records
            elif not taken:  # else in the next call: what is drained must be returned
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
                found.check_raise()
        return taken

    def _unpack(self, fetcher: Any, tp: Any, found: Any) -> list[Any]:
        """One by one, so that what could be unpacked before an error is not lost with it."""
        records: list[Any] = []
        try:
            while found.has_more():
                record = found.getone()
                if record is not None:
                    records.append(record)
        except UnreadableBatchError as error:
            if unreadable := self._failed(fetcher, tp, error):
                records.append(unreadable)
            return records
        del fetcher._records[tp]
        fetcher._notify(fetcher._wait_consume_future)
        return records

    def _failed(self, fetcher: Any, tp: Any, error: UnreadableBatchError) -> UnreadableBatch | None:
        """Fetch the batch again; after `_TRIES` step over it and return what stands for it."""
        first = error.first_offset
        at, tries = self._tries.get(tp, (first, 0))
        tries = tries + 1 if at == first else 1
        kind = error.reason.removeprefix("aiokafka.errors.").removeprefix("builtins.")
        log.error("router.batch_unreadable", topic=tp.topic, partition=tp.partition, offset=first,
                  error=kind, attempt=tries)  # fmt: skip
        if tries < _TRIES:
            self._tries[tp] = (first, tries)
            fetcher.seek_to(tp, first)
            return None
        self._tries.pop(tp, None)
        fetcher.seek_to(tp, error.next_offset)
        _UNREADABLE.labels(tp.topic).inc()
        return UnreadableBatch(first, error.next_offset - 1, kind)
