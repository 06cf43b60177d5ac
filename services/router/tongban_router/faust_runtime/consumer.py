"""Make Faust's consumer hand on each partition's records in order, without losing the first ones.

While a table recovers, and when a rebalance interrupts a fetch, faust-streaming 0.15.3 drops
records that it has fetched already, and relies on `seek_to_committed` to fetch them again. aiokafka
0.14 does not seek where nothing, or offset 0, is committed. So the first records of a partition
that arrive just then are lost, and the commit of the next record makes the loss final: a first
supplement, handed in while the router started, was never read (ADR 0007). Here the consumer seeks
such a partition to its beginning, and drops after a seek what was fetched before it
(`OffsetSequencer`). `tests/integration/router/test_consumer.py` reproduces the fault, and
`docs/upstream/aiokafka-seek-to-committed.md` reports it.

If a committed offset lies beyond the end of the log (after a power cut or an unclean election), the
consumer reads the partition from its beginning. A log that goes back while it is read ends the
process, so that the next process detects it at its assignment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from tongban_common import topics
from tongban_kafka import (
    CommitMetadata,
    Pace,
    committed_offsets,
)
from tongban_router.errors import RouterError
from tongban_router.faust_runtime.batch_reader import BatchReader, UnreadableBatch
from tongban_router.faust_runtime.faults import die
from tongban_router.faust_runtime.offsets import (
    Handover,
    LogTruncatedError,
    OffsetSequencer,
    OffsetVerdict,
)

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
_HANDOVER_S = 5.0
"""Most seconds of the commit with which a router hands its partitions over."""
_TAKE_OVER_S = 20.0
"""Seconds for which a router tries to remove its predecessor's hint."""
_TAKE_OVER_APART_S = 0.1
_SETTLING_S = 1.0
"""Seconds before an end offset below the committed one is queried again, and then believed."""
_POLL_S = 0.2
"""Most seconds that a fetch waits for records, here and at the broker. Partitions that are resumed
after a rebalance are fetched once the fetch before it has ended; Faust waits 1 and 1.5 s."""
_IDLE_S = 0.05
"""Seconds between looks at the partitions while none may be fetched. Faust waits 1 s."""
_BACKLOG = 20
"""A fetch of so many records is followed by the next one at once: there are more."""
Offsets = Mapping[TP, int]


class SeekTargets(NamedTuple):
    """Offsets of the partitions of an assignment."""

    committed: Offsets
    """The committed offsets; the log's beginning for one that lies beyond the log's end."""
    positions: Offsets
    """The offsets to seek to: the committed offset, else the beginning of a source."""
    ends: Offsets
    """End offsets of the sources."""
    begun: Offsets
    """Holds, by source that was handed over, the offset from which on no record was begun."""


def _told(meta: Any) -> CommitMetadata:
    return CommitMetadata.decode(meta.metadata, meta.offset)


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
        metas = await committed_offsets(consumer, consumer.assignment())
        committed: dict[TP, Any] = {
            tp: metas[tp].offset if tp in metas else None for tp in consumer.assignment()
        }
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
        begun = {
            tp: noted
            for tp in sources
            if tp in metas and tp not in beyond and (noted := _told(metas[tp]).begun_to) is not None
        }
        return SeekTargets(committed, positions, ends, begun)

    async def remove_hints(self, committed: Offsets) -> None:
        """Commit these offsets without metadata.

        Raises:
            KafkaError: the group rebalances, or the broker refuses it.
        """
        await self.call_thread(self._remove_hints, committed)

    async def _remove_hints(self, committed: Offsets) -> None:
        await self._ensure_consumer().commit(dict(committed))

    async def hand_over(self, begun: Mapping[TP, tuple[int, int]]) -> None:
        """Commit offsets with a note from which offset on no record was begun."""
        await self.call_thread(self._hand_over, begun)

    async def _hand_over(self, begun: Mapping[TP, tuple[int, int]]) -> None:
        consumer = self._ensure_consumer()
        ours = consumer.assignment()
        notes = {
            # aiokafka refuses Faust's own type of partition.
            TopicPartition(*tp): (at, CommitMetadata(to).encode(at))
            for tp, (at, to) in begun.items()
            if tp in ours
        }
        if notes:
            await consumer.commit(notes)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = round(_POLL_S * 1000)  # no setting of Faust's
        return consumer

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
        self._held = False
        """True from a seek to the resumption after it: Faust clears its queues when it resumes."""
        self._pace = Pace(_APART)
        self._on_seek: Callable[[Offsets, Offsets], None] = cast(Any, self.app).on_seek
        self._on_log_hole: Callable[[TP, int, int], None] = cast(Any, self.app).on_log_hole
        self._handover: Handover = cast(Any, self.app).handover

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing. Faust's detector of streams that stand still only logs, and it asserts that
        each partition has a position: it would end the router while one is being sought, as behind
        a hole in the log. `Progress` and the router's lag watch instead."""

    async def seek_to_committed(self) -> Offsets:
        """Seek each partition to its committed offset, else to its beginning.

        Set the expected offsets before the seek: the client keeps fetching, and a record that is
        dropped after the seek would not be fetched again. Hold back what comes until the flow is
        resumed: what was handed on before would be lost then.
        """
        self._held = True
        assignment = self._handover.assignment()
        committed, positions, ends, begun = await self._thread.targets()
        await self._take_over(assignment, committed, begun)
        sources = {tp: at for tp, at in positions.items() if tp.topic in SOURCES}
        seek = self._sequencer.begin(sources)
        self._on_seek(sources, ends)
        await self._thread.go_to(positions)
        self._sequencer.sought(seek, sources)
        return committed

    async def _take_over(self, assignment: int, committed: Offsets, begun: Offsets) -> None:
        """Take what predecessors handed over, once it is removed from the committed offsets.

        With the hint still at the broker, the successor of a router that is killed would take
        records that were begun for new. So a router that cannot remove it handles nothing, and ends
        at last.
        """
        deadline = time.monotonic() + _TAKE_OVER_S
        while begun:
            try:
                await self._thread.remove_hints({tp: committed[tp] for tp in begun})
            except KafkaError as error:
                if self._handover.assignment() != assignment:
                    return  # its partitions are sought again
                if time.monotonic() > deadline:
                    die("router.handover_not_taken", error, "")
                await asyncio.sleep(_TAKE_OVER_APART_S)
            else:
                told = {(tp.topic, tp.partition): at for tp, at in begun.items()}
                self._handover.take(assignment, told)
                return

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
        self._resumed, self._held = True, False

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
        async for tp, message in super().getmany(min(timeout, _POLL_S)):
            count += 1
            if tp.topic not in SOURCES or (not self._held and await self._is_next(tp, message)):
                yield tp, message
        self._pace.given(count if count < _BACKLOG else 0)

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.flow_active and not self._get_active_partitions():
            await asyncio.sleep(_IDLE_S)
            return {}, set()
        return await super()._wait_next_records(timeout)

    async def on_stop(self) -> None:
        """Commit, and hand over to the successor. No agent handles records any more."""
        await super().on_stop()
        try:
            ours = self.assignment()
        except ConsumerNotStarted:
            return
        committed = {tp: at for tp in ours if (at := self._committed_offset[tp])}
        begun = {
            tp: (at, to)
            for tp, at in committed.items()
            if tp.topic in SOURCES and (to := self._handover.begun_to(tp, at)) is not None
        }
        try:
            async with asyncio.timeout(_HANDOVER_S):
                await self._thread.hand_over(begun)
        except Exception as error:
            # The successor queries more, and waits for it. Raised here, it would keep Faust from
            # stopping the thread, and so the process from ending.
            log.warning("router.not_handed_over", error=repr(error))

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
