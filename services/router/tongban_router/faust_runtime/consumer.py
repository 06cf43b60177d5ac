"""Faust's consumer, made to hand on each partition's records in order, from where it has to begin.

While a table recovers, and when a rebalance interrupts a fetch, Faust drops records that it has
fetched already, and relies on `seek_to_committed` to have them again. aiokafka's seeks nothing
where nothing, or offset 0, is committed. So the first records of a partition that come just then
are gone, and the next one's commit makes it final. (Seen: a first supplement handed in while the
router started, never read.) Here such partitions are sought to their beginning, and what was
fetched before a seek is not handed on after it (`order`).

Where more is committed than the log has (a power cut, an unclean election), the partition is read
from its beginning. A log that goes back while it is read ends the process, so that the next one
finds that at its assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple, cast

import structlog
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from tongban_common import topics
from tongban_kafka.pace import Pace
from tongban_router.faust_runtime.batches import BatchReader, UnreadableBatch
from tongban_router.faust_runtime.offset_sequencer import OffsetSequencer, OffsetVerdict
from tongban_router.faust_runtime.producer import die

log = structlog.get_logger()

SOURCES = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_COMMANDS,
    topics.REQUESTS_OUTCOMES,
    topics.ROUTER_TIMERS,
)
"""What the router's agent reads. The changelog is read too, by the table's recovery alone."""


_APART = 0.005
"""Seconds between fetches that bring records: each names and looks through 48 partitions."""
_SETTLING_S = 1.0
"""Before an end offset below the committed one is looked up again and believed."""
_BACKLOG = 20
"""Where so many come at once there are more, and no reason to wait."""

Offsets = Mapping[TP, int]


class Targets(NamedTuple):
    """Holds the offsets of the partitions of an assignment."""

    committed: Offsets
    """The offset that counts as committed: the log's beginning where more was committed than the
    log has."""
    positions: Offsets
    """Where each has to be sought: to what is committed, a source without that to its beginning."""
    ends: Offsets
    """End offsets of the sources."""


class LogTruncatedError(Exception):
    """A partition's log is not the one that was read before."""

    def __init__(self, partition: int, expected: int, found: int) -> None:
        super().__init__(f"partition {partition}: {expected} was next, the log is at {found}")


class ChangelogUnreadable(Exception):
    """A batch of the table's changelog cannot be unpacked."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the batch at offset {offset} cannot be read")


class UnreadableMessage(ConsumerMessage):
    """Stands for a batch that cannot be unpacked; its offset is the last of the batch, so that
    Faust commits past all of it."""

    batch: UnreadableBatch


class RewindingThread(AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = BatchReader(topics.ROUTER_APP)

    async def on_start(self) -> None:
        """Faust's; and how long we are a member is known from here on."""
        await super().on_start()
        cast(Any, self.app).tenure.watch(self._consumer)

    async def targets(self) -> Targets:
        """Ask the broker for the offsets of all assigned partitions."""
        found: Targets = await self.call_thread(self._targets)
        return found

    async def _targets(self) -> Targets:
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
            await self._commit_lower(consumer, {tp: begins[tp] for tp in beyond})
        positions = {**{tp: at for tp, at in committed.items() if at}, **begins}
        return Targets(committed, positions, ends)

    @staticmethod
    async def _commit_lower(consumer: Any, begins: Offsets) -> None:
        """Commit where these begin. Else a successor, should this process die before its first
        commit, would read a log that has grown meanwhile from the old offset."""
        try:
            await consumer.commit(dict(begins))
        except KafkaError as error:  # a rebalance: whoever has them next does the same
            log.warning("router.lower_offsets_not_committed", error=repr(error))

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,  # noqa: ARG002 - Faust leaves it at None
    ) -> Any:
        """Faust's, by a reader that loses nothing to a batch that cannot be unpacked."""
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        with fetcher._subscriptions.fetch_context():
            return await self._reader.read(consumer, active_partitions, timeout or 0.0)

    async def go_to(self, positions: Offsets) -> None:
        """Seek there, as far as the partitions are still ours."""
        await self.call_thread(self._go_to, positions)

    async def _go_to(self, positions: Offsets) -> None:
        consumer = self._ensure_consumer()
        ours = consumer.assignment()
        for tp, offset in positions.items():
            if tp in ours:
                consumer.seek(tp, offset)


class RewindingConsumer(Consumer):
    """Faust's consumer with the thread above; hands on what is next and nothing else."""

    _thread: RewindingThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order: OffsetSequencer[TP] = OffsetSequencer()
        self._resumed = False
        self._pace = Pace(_APART)
        self._on_sought: Callable[[Offsets, Offsets], None] = cast(Any, self.app).on_sought
        self._on_hole: Callable[[TP, int, int], None] = cast(Any, self.app).on_hole

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Offsets:
        """Seek each partition to its committed offset, else to its beginning.

        What comes next is settled before the seek: records are fetched all the while, and those
        that are dropped after it would not come again.
        """
        committed, positions, ends = await self._thread.targets()
        sources = {tp: at for tp, at in positions.items() if tp.topic in SOURCES}
        seek = self._order.begin(sources)
        self._on_sought(sources, ends)
        await self._thread.go_to(positions)
        self._order.sought(seek, sources)
        return committed

    async def highwaters(self, *partitions: TP) -> Any:
        """Faust's; the local table is checked against the ends of its changelog, which only its
        recovery asks for."""
        found = await super().highwaters(*partitions)
        changelog = {tp: end for tp, end in found.items() if tp.topic not in SOURCES}
        if changelog:
            cast(Any, self.app).on_changelog_ends(changelog)
        return found

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust's, and nothing of these is handed on until they have been sought again."""
        self._order.forget(revoked)
        await super().on_partitions_revoked(revoked)

    def resume_flow(self) -> None:
        """Faust's; what was fetched and dropped while the flow stood still is fetched again."""
        super().resume_flow()
        self._resumed = True

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Faust's, without what is not next."""
        await self._pace.wait()  # first: the flow may stand still and be resumed meanwhile
        if self._resumed and self.flow_active:
            self._resumed = False
            seek, positions = self._order.seeking(), self._order.positions()
            await self._thread.go_to(positions)
            self._order.sought(seek, positions)
        self._order.fetch()
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
            # The table's own changelog: without it the router knows less than it has promised.
            die("router.changelog_unreadable", ChangelogUnreadable(record.first), tp.topic)
        message = UnreadableMessage(
            tp.topic, tp.partition, record.last, 0.0, 0, [], None, None, None,
            tp=tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.batch = record
        return message

    async def _is_next(self, tp: TP, message: Message) -> bool:
        batch = message.batch if isinstance(message, UnreadableMessage) else None
        offset = message.offset if batch is None else batch.first
        verdict = self._order.judge(tp, offset)
        first = offset
        if verdict is OffsetVerdict.WENT_BACK:
            expected = self._order.expected(tp)
            die("router.log_went_back", LogTruncatedError(tp.partition, expected, offset), tp.topic)
        if verdict is OffsetVerdict.GO_BACK:
            await self._go_back(tp, offset)
        elif verdict is OffsetVerdict.TAKE_OVER_HOLE:
            first = self._order.hole(tp)
            log.error("router.offsets_missing", topic=tp.topic, partition=tp.partition,
                      first=first, found=offset)  # fmt: skip
        taken = verdict in (OffsetVerdict.TAKE, OffsetVerdict.TAKE_OVER_HOLE)
        if taken and batch is not None:
            self._order.skip(tp, offset + 1, batch.last)
        if taken and first < message.offset:
            self._on_hole(tp, first, message.offset)
        return taken

    async def _go_back(self, tp: TP, found: int) -> None:
        seek, expected = self._order.seek, self._order.expected(tp)
        log.warning("router.fetching_again", topic=tp.topic, partition=tp.partition,
                    expected=expected, found=found)  # fmt: skip
        await self.seek(tp, expected)
        self._order.sought(seek, {tp: expected})


class RewindingTransport(Transport):
    """Faust's transport with the consumer above."""

    Consumer = RewindingConsumer


def transport_of(app: Any) -> RewindingTransport:
    """The transport to give an application."""
    return RewindingTransport(app.conf.broker_consumer, app)
