"""Faust's consumer, made to hand on each partition's records in order, from where it has to begin.

While a table recovers, and when a rebalance interrupts a fetch, Faust drops records that it has
fetched already, and relies on `seek_to_committed` to have them again. aiokafka's seeks nothing
where nothing, or offset 0, is committed. So the first records of a partition that come just then
are gone, and the next one's commit makes it final. (Seen: a first supplement handed in while the
router started, never read.) Here such partitions are sought to their beginning, and what was
fetched before a seek is not handed on after it (`order`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import structlog
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message

from tongban_common import topics
from tongban_common.kafka.pace import Pace
from tongban_router.dispatch.order import NextOffsets, Verdict

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
_BACKLOG = 20
"""Where so many come at once there are more, and no reason to wait."""

Offsets = Mapping[TP, int]


class RewindingThread(AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    async def on_start(self) -> None:
        """Faust's; and how long we are a member is known from here on."""
        await super().on_start()
        cast(Any, self.app).tenure.watch(self._consumer)

    async def targets(self) -> tuple[Offsets, Offsets]:
        """Committed offsets of all our partitions, and where each has to be sought: to that, or a
        source without one to its beginning."""
        found: tuple[Offsets, Offsets] = await self.call_thread(self._targets)
        return found

    async def _targets(self) -> tuple[Offsets, Offsets]:
        consumer = self._ensure_consumer()
        committed = {tp: await consumer.committed(tp) for tp in consumer.assignment()}
        fresh = [tp for tp, offset in committed.items() if not offset and tp.topic in SOURCES]
        begins = await consumer.beginning_offsets(fresh) if fresh else {}
        return committed, {**{tp: at for tp, at in committed.items() if at}, **begins}

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
        self._order: NextOffsets[TP] = NextOffsets()
        self._resumed = False
        self._pace = Pace(_APART)
        self._on_sought: Callable[[Offsets], None] = cast(Any, self.app).on_sought
        self._on_hole: Callable[[TP, int, int], None] = cast(Any, self.app).on_hole

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Offsets:
        """Seek each partition to its committed offset, else to its beginning.

        What comes next is settled before the seek: records are fetched all the while, and those
        that are dropped after it would not come again.
        """
        committed, positions = await self._thread.targets()
        sources = {tp: at for tp, at in positions.items() if tp.topic in SOURCES}
        self._order.begin(sources)
        self._on_sought(sources)
        await self._thread.go_to(positions)
        return committed

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
            await self._thread.go_to(self._order.positions())
        count = 0
        async for tp, message in super().getmany(timeout):
            count += 1
            if tp.topic not in SOURCES or await self._is_next(tp, message.offset):
                yield tp, message
        self._pace.given(count if count < _BACKLOG else 0)

    async def _is_next(self, tp: TP, offset: int) -> bool:
        verdict = self._order.judge(tp, offset)
        if verdict is Verdict.GO_BACK:
            expected = self._order.expected(tp)
            log.warning("router.fetching_again", topic=tp.topic, partition=tp.partition,
                        expected=expected, found=offset)  # fmt: skip
            await self.seek(tp, expected)
        elif verdict is Verdict.TAKE_OVER_HOLE:
            first = self._order.hole(tp)
            log.error("router.offsets_missing", topic=tp.topic, partition=tp.partition,
                      first=first, found=offset)  # fmt: skip
            self._on_hole(tp, first, offset)
        return verdict in (Verdict.TAKE, Verdict.TAKE_OVER_HOLE)


class RewindingTransport(Transport):
    """Faust's transport with the consumer above."""

    Consumer = RewindingConsumer


def transport_of(app: Any) -> RewindingTransport:
    """The transport to give an application."""
    return RewindingTransport(app.conf.broker_consumer, app)
