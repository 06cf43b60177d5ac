"""Shows where requests waited: the times of their records on each topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from tongban_common import topics
from tongban_kafka import KafkaAddress, client_options

_TOPICS = (
    topics.REQUESTS_SUBMITTED,
    topics.REQUESTS_COMMANDS,
    topics.ROUTER_TIMERS,
    topics.REQUESTS_OUTCOMES,
    topics.REQUESTS_STATUS,
    topics.REQUESTS_COMPLETED,
)
_SHOWN_FROM_S = 0.05


@dataclass(frozen=True, slots=True)
class Hop:
    """A record of a request; `waited_s` since the record before it."""

    at: float
    """Unix seconds at which its producer sent it."""
    waited_s: float
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} +{self.waited_s:.2f}"


async def read_hops(
    cluster: KafkaAddress, wanted: Collection[str], provinces: Iterable[str]
) -> dict[str, list[Hop]]:
    """Return the records of each wanted request in the order of their times."""
    names = [*_TOPICS, *map(topics.province_requests, provinces)]
    found: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    async with AIOKafkaConsumer(**client_options(cluster)) as consumer:
        parts = [
            TopicPartition(name, number)
            for name in names
            for number in range(topics.TOPICS[name].partitions)
        ]
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(parts)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    request_id = (record.key or b"").decode()
                    if request_id in wanted:
                        at = record.timestamp / 1000
                        found[request_id].append((at, tp.topic, tp.partition))
    return {request_id: _hops(sorted(records)) for request_id, records in found.items()}


def _hops(records: list[tuple[float, str, int]]) -> list[Hop]:
    before = records[0][0]
    hops = []
    for at, topic, partition in records:
        hops.append(Hop(at, at - before, topic, partition))
        before = at
    return hops


def longest_waits(hops: Iterable[Hop]) -> str:
    """Return the hops of a request that took longer than a moment, as text."""
    return ", ".join(str(hop) for hop in hops if hop.waited_s >= _SHOWN_FROM_S)
