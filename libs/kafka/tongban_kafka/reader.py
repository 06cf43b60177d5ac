"""Reads topics without a consumer group: every process reads all partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka
import structlog
from aiokafka.errors import KafkaError

from tongban_kafka._aiokafka import check_prepared
from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka._aiokafka.group import (
    check_background,
    check_topics,
    close_consumer,
    partitions_of,
)
from tongban_kafka._aiokafka.polling import be_quiet_when_idle
from tongban_kafka.backoff import Backoff
from tongban_kafka.errors import ConsumerFailedError
from tongban_kafka.pace import Pace
from tongban_kafka.security import KafkaAddress, client_options
from tongban_kafka.unreadable import BatchRetries, describe_batch

log = structlog.get_logger(__name__)
_RECONNECT = Backoff(first=0.1, longest=5.0)
_WAIT_MS = 5000
"""Milliseconds for which the broker keeps a fetch while nothing comes."""
_APART = 0.02
"""Seconds between fetches that return records. Readers feed displays and take over changes of
operators: both notice no delay of this length."""


class Reader:
    """Keeps a consumer of all partitions of some topics running, across restarts of the broker.

    Subclasses set the positions (`_opened`) and handle the records (`_records`).
    """

    def __init__(
        self,
        bootstrap: KafkaAddress,
        topics: Sequence[str],
        *,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        self.topics = tuple(topics)
        self._pace = Pace(_APART)
        self._next: dict[Any, int] = {}
        self._retries = BatchRetries()
        self.unreadable = 0
        """Number of unreadable batches that were passed over."""
        self._options = {
            **client_options(bootstrap),
            "client_id": f"reader-{self.topics[0]}",
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "request_timeout_ms": 10_000,
            "fetch_max_wait_ms": _WAIT_MS,
            **(client or {}),
        }

    async def run(self) -> None:
        """Read until cancelled. Reconnect with exponential back-off while Kafka is away."""
        attempt = 1
        while True:
            check_prepared()
            consumer = aiokafka.AIOKafkaConsumer(**self._options)
            try:
                await consumer.start()
                await check_topics(consumer, self.topics)
                be_quiet_when_idle(consumer)
                consumer.assign(await partitions_of(consumer, self.topics))
                self._next.clear()
                await self._opened(consumer)
                attempt = 1
                while True:
                    await self._turn(consumer)
            except (KafkaError, ConsumerFailedError, OSError) as error:
                log.warning("reader_interrupted", topics=self.topics, error=repr(error))
            finally:
                self._closed()
                await close_consumer(consumer, timeout=2.0)
            await asyncio.sleep(_RECONNECT.delay(attempt))
            attempt += 1

    async def _turn(self, consumer: Any) -> None:
        check_background(consumer)
        await self._pace.wait()
        for topic in self.topics:
            known = consumer.partitions_for_topic(topic) or set()
            if len(known) > sum(tp.topic == topic for tp in consumer.assignment()):
                raise ConsumerFailedError(f"{topic} has more partitions now")
        try:
            fetched = await consumer.getmany(timeout_ms=500, max_records=1000)
        except UnreadableBatchError as error:
            await self._unreadable(consumer, error)
            fetched = {}
        for tp, raws in fetched.items():
            if raws[0].offset < self._next.get(tp, 0):
                raise ConsumerFailedError(f"{tp.topic}/{tp.partition}: offsets went back")
            self._next[tp] = raws[-1].offset + 1
            self._records(tp, raws)
        self._pace.given(len(fetched))
        await self._turned(consumer)
        await asyncio.sleep(0)

    async def _unreadable(self, consumer: Any, error: UnreadableBatchError) -> None:
        """Retry the batch a few times, then pass over it. Otherwise a view would never be ready,
        and a tail would show no more records of the partition."""
        after = await self._retries.pass_over(consumer, error)
        if after is None:
            return
        log.critical("batch_passed_over", **{**describe_batch(error), "next_offset": after})
        self.unreadable += 1
        self._passed_over(error.tp, error.first_offset, after)

    async def _opened(self, consumer: Any) -> None:
        """Set the positions; called after each connection."""
        raise NotImplementedError

    def _records(self, tp: Any, raws: Sequence[Any], /) -> None:
        """Handle records of one partition, in order."""
        raise NotImplementedError

    def _passed_over(self, tp: Any, first: int, after: int, /) -> None:
        """Handle the loss of a batch: the offsets from `first` up to, but without, `after`."""

    async def _turned(self, consumer: Any) -> None:
        """Act after each fetch, when `_records` has handled its records."""

    def _closed(self) -> None:
        """Act after the connection was lost or closed."""
