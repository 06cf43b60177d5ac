"""Make Faust's consumer hand on each partition's records in order, without losing the first ones.

While a table recovers, and when a rebalance interrupts a fetch, faust-streaming 0.15.3 drops
records that it has fetched already, and relies on `seek_to_committed` to fetch them again. aiokafka
0.14 does not seek where nothing, or offset 0, is committed. So the first records of a partition
that arrive just then are lost, and the commit of the next record makes the loss final: a first
supplement, handed in while the router started, was never read (ADR 0007). Here the consumer seeks
such a partition to its beginning, and drops after a seek what was fetched before it
(`OffsetSequencer`). `tests/integration/router/test_consumer.py` reproduces the fault.

If a committed offset lies beyond the end of the log (after a power cut or an unclean election), the
consumer reads the partition from its beginning. A log that goes back while it is read ends the
process, so that the next process detects it at its assignment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import structlog
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from tongban_common import topics
from tongban_kafka import (
    BatchRetries,
    DeadLetter,
    Pace,
    UnreadableBatchError,
    batch_dead_letter,
    describe_batch,
    offset_after,
)
from tongban_router.errors import RouterError
from tongban_router.faust_runtime.faults import die
from tongban_router.faust_runtime.offsets import LogTruncatedError, OffsetSequencer, OffsetVerdict

log = structlog.get_logger()
SOURCES = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_COMMANDS,
    topics.REQUESTS_OUTCOMES,
    topics.ROUTER_TIMERS,
)
"""Topics of the agent. The consumer also reads the changelog, for the table's recovery."""
_APART = 0.005
"""Least seconds between fetches that bring records: each fetch lists and searches 48 partitions."""
_SETTLING_S = 1.0
"""Seconds before an end offset below the committed one is queried again, and then believed."""
_BACKLOG = 20
"""A fetch of so many records is followed by the next one at once: there are more."""
Offsets = Mapping[TP, int]


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """Stands for the offsets `first` to `last` of a partition, which cannot be unpacked."""

    first: int
    last: int
    letter: DeadLetter
    """The dead letter of the whole batch: key, value and headers."""


class BatchReader:
    """Returns what an aiokafka consumer has fetched, and a stand-in for each batch that cannot be
    unpacked. Use it in the consumer's own thread.

    `tongban_kafka` detects such batches, counts their reads and bounds what their headers claim
    (ADR 0020). The reader leaves the partition out of the fetches until the next read is due, while
    other partitions go on. After the last read the consumer seeks behind the batch, and the
    stand-in passes through Faust like a record: Faust commits the batch's offsets once its dead
    letter is written.

    Args:
        group: the consumer group that the dead letters name.
        now: returns monotonic seconds.
    """

    def __init__(
        self,
        group: str,
        *,
        retries: BatchRetries | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._retries = BatchRetries() if retries is None else retries
        self._now = now
        self._due: dict[Any, float] = {}
        """Partition -> monotonic time of the next read of its unreadable batch."""

    async def read(
        self, consumer: Any, wanted: Collection[Any] | None, timeout: float
    ) -> dict[Any, list[Any]]:
        """Wait at most `timeout` seconds for records of the wanted partitions (None means all).

        Returns:
            for each partition its records in order, or one `UnreadableBatch`.

        Raises:
            aiokafka.errors.KafkaError: the broker refused a fetch.
        """
        now = self._now()
        waits = {tp: due - now for tp, due in self._due.items() if due > now}
        if waits:
            timeout = min(timeout, *waits.values())
            wanted = [tp for tp in wanted or consumer.assignment() if tp not in waits]
            if not wanted:  # an empty list would mean all of them
                await asyncio.sleep(timeout)
                return {}
        try:
            fetched: dict[Any, list[Any]] = await consumer._fetcher.fetched_records(wanted, timeout)
        except UnreadableBatchError as error:
            return self._failed(consumer, error)
        for tp in self._due.keys() & fetched.keys():
            self._forget(tp)
        return fetched

    def _failed(self, consumer: Any, error: UnreadableBatchError) -> dict[Any, list[Any]]:
        """Count a failed read; after the last one seek behind the batch and return a stand-in."""
        tp, first = error.tp, error.first_offset
        delay = self._retries.failed(error)
        reads, since = self._retries.reads(error), self._retries.since(error)
        if reads == 1:
            log.error("router.batch_unreadable", **describe_batch(error))
        if delay is not None:
            self._due[tp] = self._now() + delay
            return {}
        self._forget(tp)
        after = offset_after(consumer, error)
        log.error("router.batch_given_up", **{**describe_batch(error), "next_offset": after})
        consumer.seek(tp, after)
        letter = batch_dead_letter(self._group, error, after, attempts=reads, since=since)
        return {tp: [UnreadableBatch(first, after - 1, letter)]}

    def _forget(self, tp: Any) -> None:
        self._due.pop(tp, None)
        self._retries.forget(tp)


class SeekTargets(NamedTuple):
    """Offsets of the partitions of an assignment."""

    committed: Offsets
    """The committed offsets; the log's beginning for one that lies beyond the log's end."""
    positions: Offsets
    """The offsets to seek to: the committed offset, else the beginning of a source."""
    ends: Offsets
    """End offsets of the sources."""


class ChangelogUnreadableError(RouterError):
    """A batch of the table's changelog cannot be unpacked."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the batch at offset {offset} cannot be read")


class UnreadableMessage(ConsumerMessage):
    """Stands for a batch that cannot be unpacked. Its offset is the last of the batch, so that
    Faust commits past the whole batch."""

    batch: UnreadableBatch


def header_pairs(headers: Any) -> Iterable[tuple[str, bytes]]:
    """Return the headers that have a value; Kafka allows null. Faust hands headers on as a mapping,
    a list or None."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return [(name, value) for name, value in pairs if value is not None]


class RewindingThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, which alone uses the Kafka client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = BatchReader(topics.ROUTER_APP)

    async def on_start(self) -> None:
        """Start, and let the session fence watch the membership of this consumer."""
        await super().on_start()
        cast(Any, self.app).session_fence.watch(self._consumer)

    async def targets(self) -> SeekTargets:
        """Query the broker for the offsets of all assigned partitions."""
        found: SeekTargets = await self.call_thread(self._targets)
        return found

    async def _targets(self) -> SeekTargets:
        consumer = self._ensure_consumer()
        committed = {tp: await consumer.committed(tp) for tp in consumer.assignment()}
        sources = [tp for tp in committed if tp.topic in SOURCES]
        ends = await consumer.end_offsets(sources) if sources else {}
        beyond = [tp for tp in sources if (committed[tp] or 0) > ends[tp]]
        if beyond:  # a leader that was just elected may not know its own end yet
            await asyncio.sleep(_SETTLING_S)
            ends |= await consumer.end_offsets(beyond)
            beyond = [tp for tp in beyond if (committed[tp] or 0) > ends[tp]]
        fresh = [tp for tp in sources if not committed[tp] or tp in beyond]
        begins = await consumer.beginning_offsets(fresh) if fresh else {}
        for tp in beyond:
            log.critical("router.committed_beyond_end", topic=tp.topic, partition=tp.partition,
                         committed=committed[tp], end=ends[tp], begins_at=begins[tp])  # fmt: skip
            committed[tp] = begins[tp]
        if beyond:
            # Commit the beginnings now. If this process died before its first commit, a successor
            # would read the log, which may have grown meanwhile, from the old offset.
            try:
                await consumer.commit({tp: begins[tp] for tp in beyond})
            except KafkaError as error:  # a rebalance: the next owner does the same
                log.warning("router.lower_offsets_not_committed", error=repr(error))
        positions = {**{tp: at for tp, at in committed.items() if at}, **begins}
        return SeekTargets(committed, positions, ends)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,  # noqa: ARG002 - Faust leaves it at None
    ) -> Any:
        """Fetch with `BatchReader`, which loses no record to a batch that cannot be unpacked."""
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        with fetcher._subscriptions.fetch_context():
            return await self._reader.read(consumer, active_partitions, timeout or 0.0)

    async def go_to(self, positions: Offsets) -> None:
        """Seek those of the partitions that are still assigned."""
        await self.call_thread(self._go_to, positions)

    async def _go_to(self, positions: Offsets) -> None:
        consumer = self._ensure_consumer()
        ours = consumer.assignment()
        for tp, offset in positions.items():
            if tp in ours:
                consumer.seek(tp, offset)


class RewindingConsumer(Consumer):
    """Faust's consumer with `RewindingThread`; hands on the next record of each partition only."""

    _thread: RewindingThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sequencer: OffsetSequencer[TP] = OffsetSequencer()
        self._resumed = False
        self._pace = Pace(_APART)
        self._on_seek: Callable[[Offsets, Offsets], None] = cast(Any, self.app).on_seek
        self._on_log_hole: Callable[[TP, int, int], None] = cast(Any, self.app).on_log_hole

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Offsets:
        """Seek each partition to its committed offset, else to its beginning.

        Set the expected offsets before the seek: the client keeps fetching, and a record that is
        dropped after the seek would not be fetched again.
        """
        committed, positions, ends = await self._thread.targets()
        sources = {tp: at for tp, at in positions.items() if tp.topic in SOURCES}
        seek = self._sequencer.begin(sources)
        self._on_seek(sources, ends)
        await self._thread.go_to(positions)
        self._sequencer.sought(seek, sources)
        return committed

    async def highwaters(self, *partitions: TP) -> Any:
        """Return end offsets. Those of the changelog, which only a recovery queries, are passed to
        `RouterApp.on_changelog_ends`, which checks the local table."""
        found = await super().highwaters(*partitions)
        changelog = {tp: end for tp, end in found.items() if tp.topic not in SOURCES}
        if changelog:
            cast(Any, self.app).on_changelog_ends(changelog)
        return found

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Revoke, and hand on no record of these partitions until they have been sought again."""
        self._sequencer.forget(revoked)
        await super().on_partitions_revoked(revoked)

    def resume_flow(self) -> None:
        """Resume, and fetch again what was fetched and dropped while the flow was suspended."""
        super().resume_flow()
        self._resumed = True

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield fetched records, but of the sources only the next one of each partition."""
        await self._pace.wait()  # first: the flow may be suspended and resumed meanwhile
        if self._resumed and self.flow_active:
            self._resumed = False
            seek, positions = self._sequencer.seeking(), self._sequencer.positions()
            await self._thread.go_to(positions)
            self._sequencer.sought(seek, positions)
        self._sequencer.fetch()
        count = 0
        async for tp, message in super().getmany(timeout):
            count += 1
            if tp.topic not in SOURCES or await self._is_next(tp, message):
                yield tp, message
        self._pace.given(count if count < _BACKLOG else 0)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, UnreadableBatch):
            return super()._to_message(tp, record)
        if tp.topic not in SOURCES:
            # A batch of the changelog: without it the router would not know its open requests.
            die("router.changelog_unreadable", ChangelogUnreadableError(record.first), tp.topic)
        message = UnreadableMessage(
            tp.topic, tp.partition, record.last, 0.0, 0, [], None, None, None,
            tp=tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.batch = record
        return message

    async def _is_next(self, tp: TP, message: Message) -> bool:
        batch = message.batch if isinstance(message, UnreadableMessage) else None
        offset = message.offset if batch is None else batch.first
        verdict = self._sequencer.judge(tp, offset)
        first = offset
        if verdict is OffsetVerdict.WENT_BACK:
            expected = self._sequencer.expected(tp)
            error = LogTruncatedError((tp.topic, tp.partition), expected, offset)
            die("router.log_went_back", error, tp.topic)
        if verdict is OffsetVerdict.GO_BACK:
            await self._go_back(tp, offset)
        elif verdict is OffsetVerdict.TAKE_OVER_HOLE:
            first = self._sequencer.hole(tp)
            log.error("router.offsets_missing", topic=tp.topic, partition=tp.partition,
                      first=first, found=offset)  # fmt: skip
        is_next = verdict in (OffsetVerdict.TAKE, OffsetVerdict.TAKE_OVER_HOLE)
        if is_next and batch is not None:
            self._sequencer.skip(tp, offset + 1, batch.last)
        if is_next and first < message.offset:
            self._on_log_hole(tp, first, message.offset)
        return is_next

    async def _go_back(self, tp: TP, found: int) -> None:
        seek, expected = self._sequencer.seek, self._sequencer.expected(tp)
        log.warning("router.fetching_again", topic=tp.topic, partition=tp.partition,
                    expected=expected, found=found)  # fmt: skip
        await self.seek(tp, expected)
        self._sequencer.sought(seek, {tp: expected})


class RewindingTransport(Transport):
    """Faust's transport with `RewindingConsumer`."""

    Consumer = RewindingConsumer
