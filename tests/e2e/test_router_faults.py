"""Foreign records, logs that went back and pauses without an end, on a running router."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.e2e.chain_kit import CLOCK, Chain, until
from tests.integration.kafka.kit import read_all
from tongban_common import topics
from tongban_kafka import apply_topics

pytestmark = pytest.mark.long


def log_of(chain: Chain) -> str:
    return (chain.directory / "router.log").read_text()


async def write(
    chain: Chain,
    topic: str,
    value: bytes,
    headers: list[tuple[str, bytes | None]],
    *,
    key: bytes = b"x",
    codec: str | None = None,
) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=chain.broker.address, compression_type=codec
    ) as producer:
        await producer.send_and_wait(topic, value, key, headers=headers)


async def test_a_null_header_is_put_aside_and_the_router_goes_on(chain: Chain) -> None:
    await write(chain, topics.REQUESTS_SUBMITTED, b"{}", [("ce_id", None), ("ce_type", b"x")])
    await write(chain, topics.REQUESTS_SUBMITTED, b"{}" * 2000, [("a", None)], codec="zstd")
    requests = [await chain.submit(n, topics.PROVINCES[n], key="null-") for n in range(12)]
    await until(lambda: all(chain.completed[r] for r in requests), "completion")
    letters = await read_all(
        chain.broker.address, topics.dead_letter(topics.ROUTER_APP), partitions=1
    )
    assert len(letters) == 2
    assert chain.children["router"].alive


async def test_a_pause_until_the_year_9999_harms_no_other_province(chain: Chain) -> None:
    """A record that no command of ours would write."""
    value = (
        f'{{"province":"440000","paused":true,"by":"li","since":"{CLOCK.now().isoformat()}",'
        '"until":"9999-12-31T23:59:59+08:00"}'
    )
    await write(chain, topics.CONTROL_PROVINCES, value.encode(), [], key=b"440000")
    paused: list[str] = []

    async def holds() -> bool:
        paused.append(await chain.submit(len(paused), "440000", key="paused-"))
        await asyncio.sleep(0.5)
        return sum(chain.status(r) == "waiting_for_province" for r in paused) >= 3

    await until(holds, "the pause")
    other = await chain.submit(1, "500000", key="other-")
    await until(lambda: chain.completed[other] > 0, "another province's completion")
    await chain.kill("router")
    await chain.ready("router")
    resumed = (
        f'{{"province":"440000","paused":false,"by":"li","since":"{CLOCK.now().isoformat()}"}}'
    )
    await write(chain, topics.CONTROL_PROVINCES, resumed.encode(), [], key=b"440000")
    await until(lambda: all(chain.completed[r] for r in paused), "completion after the pause")


async def commit_beyond(chain: Chain) -> None:
    """Commit 50 beyond each partition's end, as after a power cut that cost the logs' tails."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=chain.broker.address,
        group_id=topics.ROUTER_APP,
        enable_auto_commit=False,
    )
    tps = [TopicPartition(topics.REQUESTS_SUBMITTED, n) for n in range(topics.REQUEST_PARTITIONS)]
    async with consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        for _ in range(120):  # until the dead router's session is over
            try:
                await consumer.commit({tp: end + 50 for tp, end in ends.items()})
            except KafkaError:
                await asyncio.sleep(0.5)
            else:
                return
    pytest.fail("the group does not take a commit")


async def test_commit_beyond_the_end_loses_no_submission(chain: Chain) -> None:
    chain.children["router"].send_signal(9)
    await chain.children["router"].wait()
    await commit_beyond(chain)
    chain.start("router")
    await chain.ready("router")
    requests = [await chain.submit(n, topics.PROVINCES[n], key="beyond-") for n in range(24)]
    await until(lambda: all(chain.completed[r] for r in requests), "completion")
    assert "router.committed_beyond_end" in log_of(chain)
    ledger = await chain.ledger()
    assert {effects["submit"] for effects in ledger.values()} == {1}


async def test_recreated_topic_ends_the_router_and_its_successor_reads_it(chain: Chain) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=chain.broker.address)
    await admin.start()
    try:
        await admin.delete_topics([topics.REQUESTS_SUBMITTED])
    finally:
        await admin.close()
    await apply_topics(chain.broker.address, [topics.TOPICS[topics.REQUESTS_SUBMITTED]])

    async def supervised() -> None:
        if not chain.children["router"].alive:
            chain.start("router")  # as a supervisor would

    requests = [await chain.submit(n, topics.PROVINCES[n], key="anew-") for n in range(24)]

    async def done() -> bool:
        await supervised()
        return all(chain.completed[r] for r in requests)

    await until(done, "completion", 120)
    ledger = await chain.ledger()
    assert {effects["submit"] for effects in ledger.values()} == {1}
