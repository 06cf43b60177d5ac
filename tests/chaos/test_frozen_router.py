"""A router that wakes after its session does not hand on what another has handed on meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.e2e.chain_kit import Chain, chain_on, until
from tongban_common import topics
from tongban_common.events import decode
from tongban_devstack.embedded import EmbeddedKafka

PROVINCE = "130000"
"""It would act again: only that repeats are marked keeps it from that (docs/connectors.md)."""
COUNT = 60


async def _calls(chain: Chain) -> tuple[int, list[str]]:
    """How many calls went to the province, and which were repeated without a mark."""
    topic = topics.province_requests(PROVINCE)
    parts = [TopicPartition(topic, n) for n in range(topics.TOPICS[topic].partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=chain.broker.address)
    known: set[str] = set()
    unmarked: list[str] = []
    async with consumer:
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(parts)
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = decode(record.value, record.headers)
                    if event.id in known and not event.repeat:
                        unmarked.append(event.id)
                    known.add(event.id)
    return len(known), unmarked


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["router.before_table", "router.before_emit"])
async def test_a_frozen_router_repeats_nothing_unmarked(tmp_path: Path, place: str) -> None:
    async with EmbeddedKafka(tmp_path / "kafka") as broker, chain_on(broker, tmp_path) as chain:
        await chain.kill("router", TONGBAN_FAULTPOINTS=f"{place}:{COUNT // 5}~")
        chain.programs["router-b"] = "router"
        chain.start("router-b")
        for name in ("router", "router-b"):
            await chain.ready(name)
        frozen = chain.children["router"]
        requests = [await chain.submit(n, PROVINCE, key="z-") for n in range(COUNT)]

        def taken_over() -> bool:
            # Where Faust passes records over in a rebalance a router ends itself; a supervisor
            # starts it again.
            if not chain.children["router-b"].alive:
                chain.start("router-b")
            return all(chain.completed[request] for request in requests)

        try:
            await until(taken_over, "the other router to take over", 120)
        except BaseException:
            frozen.send_signal(signal.SIGKILL)  # it would hear nothing else
            raise

        def recovered() -> int:
            return (tmp_path / "router.log").read_text().count("router.recovered")

        recoveries = recovered()
        frozen.send_signal(signal.SIGCONT)
        await until(
            lambda: not frozen.alive or recovered() > recoveries, "the frozen router to be told"
        )
        assert await _calls(chain) == (COUNT, [])
