"""Faust's consumer, made to go back to where a partition begins.

While a table recovers, and when a rebalance interrupts a fetch, Faust drops records that it has
fetched already, and relies on `seek_to_committed` to have them again. aiokafka's seeks nothing
where nothing, or offset 0, is committed. So the first records of a partition that come just then
are gone, and the next one's commit makes it final. (Seen: a first supplement handed in while the
router started, never read.) Here such partitions are sought to their beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from tongban_common import topics

SOURCES = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_COMMANDS,
    topics.REQUESTS_OUTCOMES,
    topics.ROUTER_TIMERS,
)
"""What the router's agent reads. The changelog is read too, by the table's recovery alone."""


class RewindingThread(AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Where each partition goes on: at its committed offset, else at its beginning."""
        found: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return found

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        fresh = [tp for tp, offset in committed.items() if not offset and tp.topic in SOURCES]
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        return committed


class RewindingConsumer(Consumer):
    """Faust's consumer with the thread above."""

    def _new_consumer_thread(self) -> RewindingThread:
        return RewindingThread(self, loop=self.loop, beacon=self.beacon)


class RewindingTransport(Transport):
    """Faust's transport with the consumer above."""

    Consumer = RewindingConsumer


def transport_of(app: Any) -> RewindingTransport:
    """The transport to give an application."""
    return RewindingTransport(app.conf.broker_consumer, app)
