"""Faust's consumer, made to hand on each partition's records in order, from where it has to begin.

While a table recovers, and when a rebalance interrupts a fetch, Faust drops records that it has
fetched already, and relies on `seek_to_committed` to have them again. aiokafka's seeks nothing
where nothing, or offset 0, is committed. So the first records of a partition that come just then
are gone, and the next one's commit makes it final. (Seen: a first supplement handed in while the
router started, never read.) Here such partitions are sought to their beginning, and what was
fetched before a seek is not handed on after it (`order`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message

from tongban_common import topics
from tongban_router.dispatch.order import NextOffsets, Verdict

log = structlog.get_logger()

SOURCES = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_COMMANDS,
    topics.REQUESTS_OUTCOMES,
    topics.ROUTER_TIMERS,
)
"""What the router's agent reads. The changelog is read too, by the table's recovery alone."""


class RewindingThread(AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    async def go_back(self) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        """Seek as `seek_to_committed` promises; committed offsets, and where the sources go on."""
        found: tuple[Mapping[TP, int], Mapping[TP, int]] = await self.call_thread(self._go_back)
        return found

    async def _go_back(self) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        sources = [tp for tp in committed if tp.topic in SOURCES]
        if fresh := [tp for tp in sources if not committed[tp]]:
            await consumer.seek_to_beginning(*fresh)
        return committed, {tp: await consumer.position(tp) for tp in sources}


class RewindingConsumer(Consumer):
    """Faust's consumer with the thread above; hands on what is next and nothing else."""

    _thread: RewindingThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order: NextOffsets[TP] = NextOffsets()

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek each partition to its committed offset, else to its beginning."""
        committed, positions = await self._thread.go_back()
        self._order.begin(positions)
        return committed

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust's, and nothing of these is handed on until they have been sought again."""
        self._order.forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Faust's, without what is not next."""
        async for tp, message in super().getmany(timeout):
            if tp.topic not in SOURCES or await self._is_next(tp, message.offset):
                yield tp, message

    async def _is_next(self, tp: TP, offset: int) -> bool:
        verdict = self._order.judge(tp, offset)
        if verdict is Verdict.GO_BACK:
            expected = self._order.expected(tp)
            log.warning("router.fetching_again", topic=tp.topic, partition=tp.partition,
                        expected=expected, found=offset)  # fmt: skip
            await self.seek(tp, expected)
        elif verdict is Verdict.TAKE_OVER_HOLE:
            log.error("router.offsets_missing", topic=tp.topic, partition=tp.partition,
                      before=offset)  # fmt: skip
        return verdict in (Verdict.TAKE, Verdict.TAKE_OVER_HOLE)


class RewindingTransport(Transport):
    """Faust's transport with the consumer above."""

    Consumer = RewindingConsumer


def transport_of(app: Any) -> RewindingTransport:
    """The transport to give an application."""
    return RewindingTransport(app.conf.broker_consumer, app)
