"""`tongban rebuild` on a running stack whose read model was lost."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.e2e import published_checking
from tests.e2e.lobby_kit import Lobby, lobby_in
from tests.e2e.plain_reading import all_records
from tongban_common import topics
from tongban_common.store import Store

TONGBAN = Path(sys.executable).with_name("tongban")


async def tongban(lobby: Lobby, *arguments: str) -> Any:
    """What a command prints as JSON."""
    stack = lobby.stack
    process = await asyncio.create_subprocess_exec(
        str(TONGBAN), *arguments, "--json",
        env={**os.environ, "TONGBAN_KAFKA": stack.kafka, "TONGBAN_STORE": stack.store},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def forget(kafka: str, topic: str) -> None:
    """Delete all records of a topic, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        partitions = range(topics.TOPICS[topic].partitions)
        await admin.delete_records(
            {TopicPartition(topic, number): RecordsToDelete(-1) for number in partitions}
        )
    finally:
        await admin.close()


@pytest.mark.long
async def test_lost_read_model_is_rebuilt_from_topics_and_router(tmp_path: Path) -> None:
    async with lobby_in(tmp_path) as lobby:
        certificate = next(
            item for item in lobby.catalogue if item.province == "340000" and item.printable
        )
        printed = await lobby.submit(certificate, lobby.key(certificate, "complete"))
        await lobby.when(printed, "completed")
        await tongban(lobby, "province", "pause", "440000")
        query = next(item for item in lobby.catalogue if item.province == "440000")
        waiting = await lobby.submit(query, "open-for-long-1")
        await lobby.when(waiting, "waiting_for_province")
        before = {each: await lobby.read(each) for each in (printed, waiting)}
        sheets = await lobby.outside(f"{lobby.stack.devices}/printed")
        messages = await lobby.outside(f"{lobby.stack.devices}/messages")

        store = Store(lobby.stack.store, "tongban")
        await store.collection("requests").drop()
        done = await tongban(lobby, "rebuild")
        assert done["unreadable"] == 0
        assert done["republished"] == 0
        assert {each: await lobby.read(each) for each in before} == before

        # The waiting request is older than all that its topics still hold.
        await store.collection("requests").drop()
        await forget(lobby.stack.kafka, topics.REQUESTS_STATUS)
        done = await tongban(lobby, "rebuild")
        assert done["republished"] == done["in_router"] == 2
        again = await lobby.when(waiting, "waiting_for_province")
        assert again == before[waiting]
        assert await lobby.outside(f"{lobby.stack.devices}/printed") == sheets
        assert await lobby.outside(f"{lobby.stack.devices}/messages") == messages
        records = await all_records(lobby.stack.kafka)
        assert published_checking.of_type(records, "tongban.request.republish.v1") == 2
        store.close()
