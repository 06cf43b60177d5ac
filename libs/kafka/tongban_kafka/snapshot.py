"""Reads the present content of topics once, for commands of operators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import aiokafka
import structlog
from aiokafka.errors import KafkaError

from tongban_kafka import denials, refusals
from tongban_kafka._aiokafka import check_prepared
from tongban_kafka._aiokafka.authorizations import allowed_on_topics
from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka._aiokafka.group import check_background, close_consumer, partitions_of
from tongban_kafka.errors import ConsumerFailedError, KafkaUnavailableError, is_denial
from tongban_kafka.holes import Hole, Holes
from tongban_kafka.operator_texts import describe_hole
from tongban_kafka.record import Record
from tongban_kafka.security import KafkaAddress, client_options
from tongban_kafka.unreadable import BatchRetries, describe_batch

log = structlog.get_logger(__name__)
_CONNECT_S = 10.0
_STALLED_S = 20.0
"""Seconds without progress after which the broker counts as away."""
Value = TypeVar("Value")
Place = tuple[str, int]
"""Topic and partition."""
OnProgress = Callable[[int, int], None]
"""Called with the number of offsets passed, and of those to pass in all."""


class Snapshot:
    """Reads topics through one consumer without a group. An async context manager.

    Raises on entering and reading:
        KafkaUnavailableError: the broker does not answer, or stopped answering.
    """

    def __init__(self, bootstrap: KafkaAddress, *, client: Mapping[str, Any] | None = None) -> None:
        self._bootstrap = bootstrap
        self._client = dict(client or {})
        self._consumer: Any = None
        self._topics: set[str] = set()
        self._retries = BatchRetries(tries=2)
        self.unreadable: list[UnreadableBatchError] = []
        """Batches that `read` and `newest` could not read and passed over, each logged."""
        self._passed: list[tuple[str, Hole]] = []

    async def __aenter__(self) -> Snapshot:
        check_prepared()
        consumer = aiokafka.AIOKafkaConsumer(
            **client_options(self._bootstrap),
            client_id="tongban-operator",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            request_timeout_ms=round(_CONNECT_S * 1000),
            **self._client,
        )
        try:
            async with asyncio.timeout(_CONNECT_S):
                await consumer.start()
                self._topics = await consumer.topics()
        except (KafkaError, OSError, TimeoutError) as error:
            await close_consumer(consumer, timeout=2.0)
            raise self._away(error) from error
        except BaseException:
            await close_consumer(consumer, timeout=2.0)
            raise
        self._consumer = consumer
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_consumer(self._consumer, timeout=5.0)

    def _away(self, error: BaseException | str) -> KafkaUnavailableError:
        if isinstance(error, BaseException) and is_denial(error):
            return KafkaUnavailableError(denials.describe(self._bootstrap, error, "Read"))
        text = error if isinstance(error, str) else str(error) or type(error).__name__
        return KafkaUnavailableError(refusals.explain(f"{self._bootstrap}: {text}"))

    def exists(self, topic: str) -> bool:
        """Return True if the topic existed when this snapshot connected."""
        return topic in self._topics

    async def partitions(self, topics: Iterable[str]) -> list[Place]:
        """Return all partitions of those topics that exist.

        Raises:
            KafkaUnavailableError: also if the broker does not permit to describe one of them.
        """
        wanted = list(topics)
        existing = [topic for topic in wanted if topic in self._topics]
        if absent := [topic for topic in wanted if topic not in self._topics]:
            await self._check_describable(absent)
        try:
            return [
                (tp.topic, tp.partition) for tp in await partitions_of(self._consumer, existing)
            ]
        except KafkaError as error:
            raise self._away(error) from error

    async def _check_describable(self, topics: list[str]) -> None:
        """Check that these topics do not only look as if they did not exist."""
        try:
            found = await allowed_on_topics(self._consumer._client, topics)
        except KafkaError as error:
            raise self._away(error) from error
        hidden = [topic for topic, allowed in found.items() if not allowed.may_describe]
        if hidden:
            missing = [denials.Permission("Describe", "topic", topic) for topic in hidden]
            account = denials.account_of(self._bootstrap)
            raise KafkaUnavailableError(denials.describe_missing(account, missing))

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the end offset of each partition."""
        return await self._offsets(self._consumer.end_offsets, places)

    async def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the offset of the oldest record of each partition."""
        return await self._offsets(self._consumer.beginning_offsets, places)

    async def _offsets(
        self, look_up: Callable[..., Any], places: Iterable[Place]
    ) -> dict[Place, int]:
        wanted = [aiokafka.TopicPartition(*place) for place in places]
        if not wanted:
            return {}
        try:
            found = await look_up(wanted)
        except KafkaError as error:
            raise self._away(error) from error
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def count_since(self, topic: str, unix_ms: int) -> int:
        """Return how many records the topic has received since then; 0 if it does not exist."""
        ranges = await self._ranges(await self.partitions([topic]), unix_ms, {})
        return sum(end - begin for begin, end in ranges.values())

    async def read(
        self,
        places: Iterable[Place],
        *,
        since_ms: int | None = None,
        from_offsets: Mapping[Place, int] | None = None,
        on_progress: OnProgress = lambda _done, _total: None,
    ) -> AsyncGenerator[Record, None]:
        """Yield the records of these partitions up to their present end offsets: in order within a
        partition, in no order across partitions.

        Args:
            since_ms: skip records from before this Unix time in milliseconds.
            from_offsets: begin at these offsets instead, by partition.
        """
        consumer = self._consumer
        ranges = await self._ranges(list(places), since_ms, from_offsets or {})
        left = {aiokafka.TopicPartition(*place): span for place, span in ranges.items()}
        total = sum(end - begin for begin, end in left.values())
        consumer.assign(list(left))
        for tp, (begin, _) in left.items():
            consumer.seek(tp, begin)
        moved_at = time.monotonic()
        while left:
            on_progress(total - await self._to_pass(left), total)
            try:
                check_background(consumer)
                fetched = await consumer.getmany(*left, timeout_ms=500, max_records=5000)
            except UnreadableBatchError as error:
                await self._pass_over(error)
                fetched = {}
            except (KafkaError, ConsumerFailedError) as error:
                raise self._away(error) from error
            if fetched:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _STALLED_S:
                raise self._away("it has stopped answering")
            for tp, raws in fetched.items():
                for raw in raws:
                    if raw.offset < left[tp][1]:
                        yield Record.of(raw, maybe_seen=True, assigned_at=0.0)
            for tp in [tp for tp, (_, end) in left.items() if await consumer.position(tp) >= end]:
                del left[tp]
                consumer.pause(tp)
        on_progress(total, total)

    async def _pass_over(self, error: UnreadableBatchError) -> None:
        """Wait before a batch is read again. After the last read log it and keep it as a hole."""
        after = await self._retries.pass_over(self._consumer, error)
        if after is None:
            return
        log.error("batch_passed_over", **describe_batch(error))
        self.unreadable.append(error)
        hole = Hole(error.tp.partition, error.first_offset, after)
        self._passed.append((error.tp.topic, hole))

    async def newest(self, topic: str, decode: Callable[[bytes], Value]) -> dict[str, Value]:
        """Return the newest value of every key of a compacted topic. Records that cannot be decoded
        are ignored, as `CompactedView` does. A missing topic yields an empty result."""
        found, _ = await self.newest_and_holes(topic, decode)
        return found

    async def newest_and_holes(
        self, topic: str, decode: Callable[[bytes], Value]
    ) -> tuple[dict[str, Value], list[Hole]]:
        """Return the result of `newest`, and the holes that no operator has accepted."""
        found: dict[str, Value] = {}
        holes = Holes()
        self._passed = [each for each in self._passed if each[0] != topic]
        async for record in self.read(await self.partitions([topic])):
            key = (record.key or b"").decode("utf-8", "replace")
            if holes.keep_acceptance(key, record.value):
                continue
            if record.value is None:
                found.pop(key, None)
                continue
            with suppress(ValueError):
                found[key] = decode(record.value)
        for _, hole in [each for each in self._passed if each[0] == topic]:
            holes.found(hole)
        return found, holes.open

    async def _ranges(
        self, places: list[Place], since_ms: int | None, from_offsets: Mapping[Place, int]
    ) -> dict[Place, tuple[int, int]]:
        """Return first and end offset of each partition that has something to read."""
        ends, begins = await self.ends(places), await self.begins(places)
        if since_ms is not None and places:
            wanted = {aiokafka.TopicPartition(*place): since_ms for place in places}
            try:
                found = await self._consumer.offsets_for_times(wanted)
            except KafkaError as error:
                raise self._away(error) from error
            for tp, at in found.items():
                place = (tp.topic, tp.partition)
                begins[place] = ends[place] if at is None else at.offset
        for place, offset in from_offsets.items():
            begins[place] = max(begins[place], offset)
        return {
            place: (begins[place], ends[place]) for place in places if begins[place] < ends[place]
        }

    async def _to_pass(self, left: Mapping[Any, tuple[int, int]]) -> int:
        return sum(
            [max(0, end - await self._consumer.position(tp)) for tp, (_, end) in left.items()]
        )


async def read_newest(
    bootstrap: KafkaAddress,
    topic: str,
    decode: Callable[[bytes], Value],
    *,
    client: Mapping[str, Any] | None = None,
    despite_holes: bool = False,
) -> dict[str, Value]:
    """Return `Snapshot.newest` of one topic, over a connection of its own.

    Args:
        despite_holes: accept values that may be outdated, because the caller only displays them or
            removes rights.

    Raises:
        KafkaUnavailableError: the broker does not answer or has no such topic, or the topic has a
            hole that no operator has accepted: a decision must not rest on outdated values.
    """
    async with Snapshot(bootstrap, client=client) as snapshot:
        if not await snapshot.partitions([topic]):
            raise KafkaUnavailableError(f"{bootstrap}: there is no topic {topic}")
        newest, holes = await snapshot.newest_and_holes(topic, decode)
        if holes and not despite_holes:
            # The newest value of any key may be in the hole.
            raise KafkaUnavailableError(f"{bootstrap}: {describe_hole(topic, holes[0])}")
        return newest
