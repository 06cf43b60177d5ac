"""A connector of a prompt province is killed beside a call: its successor soon goes on."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.e2e.chain_kit import Chain, chain_on, request_id_of, until
from tongban_common.topics import PROVINCE_PARTITIONS, connector_group, province_requests
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import CommitMetadata, partition_of

PROVINCE = "130000"
"""It would act twice. Its calls have the usual time-out of 10 s."""
PATIENT_S = 12.0
PARTITION = 0
CALLS = 12
"""Calls of the connector before the one at which it dies."""


async def note_of(admin: AIOKafkaAdminClient) -> str:
    found = await admin.list_consumer_group_offsets(connector_group(PROVINCE))
    committed = found.get(TopicPartition(province_requests(PROVINCE), PARTITION))
    return "" if committed is None else CommitMetadata.decode(committed.metadata, 0).note


def numbers_of_partition() -> Iterator[int]:
    """Yield numbers of requests that all are in one partition."""
    for number in itertools.count():
        key = request_id_of(f"key-{number:06d}").encode()
        if partition_of(key, PROVINCE_PARTITIONS) == PARTITION:
            yield number


async def completed(chain: Chain, request_id: str) -> None:
    await until(lambda: bool(chain.completed[request_id]), "a request to complete", 60)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_successor_of_a_killed_connector_waits_for_the_short_bound(tmp_path: Path) -> None:
    async with EmbeddedKafka(tmp_path / "kafka") as broker, chain_on(broker, tmp_path) as chain:
        numbers = numbers_of_partition()
        await chain.kill("connectors", TONGBAN_FAULTPOINTS=f"connector.before_send:{CALLS}")
        for _ in range(CALLS - 2):
            await completed(chain, await chain.submit(next(numbers), PROVINCE))
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await asyncio.sleep(PATIENT_S)  # the calls with the long bound have to run out
        await completed(chain, await chain.submit(next(numbers), PROVINCE))
        async with asyncio.timeout(30):
            while not await note_of(admin):  # noqa: ASYNC110 - the broker has no event for it
                await asyncio.sleep(0.1)

        last = await chain.submit(next(numbers), PROVINCE)
        async with asyncio.timeout(60):
            assert await chain.children["connectors"].wait() == -signal.SIGKILL
        chain.start("connectors")
        await chain.ready("connectors")
        ready_at = time.monotonic()
        await completed(chain, last)
        assert time.monotonic() - ready_at < PATIENT_S - 2
        assert set((await chain.ledger())[last].values()) == {1}
        await admin.close()
