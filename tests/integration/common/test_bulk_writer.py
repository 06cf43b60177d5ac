"""Tests that each of many writes in one command has its own fate, on a real store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import OperationFailure

from tongban_common.store import DuplicateKey, Store, StoreUnavailableError
from tongban_common.store.bulk_writer import BulkWriter
from tongban_kafka import uptime


class Watched:
    """A collection that counts the writes of each command, and may fail, or take its time."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.commands: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.seconds_a_write = 0.0
        self.seconds_a_command = 0.0
        self.fails: Exception | None = None

    async def bulk_write(self, operations: list[Any], *, ordered: bool) -> Any:
        self.commands.append(len(operations))
        await self.open.wait()
        await asyncio.sleep(self.seconds_a_command + self.seconds_a_write * len(operations))
        if self.fails is not None:
            raise self.fails
        return await self._collection.bulk_write(operations, ordered=ordered)


@pytest.fixture
def orders(database: Store) -> Any:
    return database.collection("orders")


@pytest.fixture
def watched(orders: Any) -> Watched:
    return Watched(orders)


async def all_of(*writes: Any) -> list[Any]:
    return await asyncio.gather(*writes, return_exceptions=True)


def kinds(fates: list[Any]) -> list[Any]:
    return [type(each) for each in fates]


async def test_insert_of_an_id_that_exists_fails_alone(orders: Any, watched: Watched) -> None:
    writer = BulkWriter(watched)
    before = uptime()
    fates = await all_of(*(writer.insert({"_id": each}) for each in "abab"))
    assert kinds(fates) == [float, float, DuplicateKey, DuplicateKey]
    assert before <= fates[0] <= uptime()
    assert await orders.count_documents({}) == 2


async def test_update_says_whether_its_document_matched(orders: Any, watched: Watched) -> None:
    await orders.insert_many([{"_id": each, "rev": 1} for each in "ab"])
    writer = BulkWriter(watched)
    change = {"$set": {"rev": 2}, "$currentDate": {"at": True}}
    fates = await all_of(
        writer.update({"_id": "a", "rev": 1}, change),
        writer.update({"_id": "b", "rev": 7}, change),
        writer.update({"_id": "not there", "rev": 1}, change),
    )
    assert kinds(fates) == [float, type(None), type(None)]
    assert {each["_id"]: each["rev"] async for each in orders.find({})} == {"a": 2, "b": 1}


async def test_of_two_updates_of_one_revision_only_one_matches(orders: Any) -> None:
    await orders.insert_one({"_id": "a", "rev": 1})
    writers = [BulkWriter(orders), BulkWriter(orders)]
    fates = await all_of(
        *(writer.update({"_id": "a", "rev": 1}, {"$inc": {"rev": 1}}) for writer in writers * 3)
    )
    assert len([each for each in fates if each is not None]) == 1
    assert (await orders.find_one({}))["rev"] == 2


async def test_writes_of_many_callers_are_few_commands(watched: Watched) -> None:
    writer = BulkWriter(watched)
    fates = await all_of(*(writer.insert({"_id": number}) for number in range(300)))
    assert set(kinds(fates)) == {float}
    assert sum(watched.commands) == 300
    assert len(watched.commands) <= 3


async def test_write_of_a_process_that_has_no_other_is_sent_at_once(watched: Watched) -> None:
    writer = BulkWriter(watched)
    for number in range(3):
        await writer.insert({"_id": number})
    assert watched.commands == [1, 1, 1]


async def test_moment_of_a_write_is_before_anyone_can_have_seen_it(watched: Watched) -> None:
    """A call that follows must begin within a time of the write, so a late moment is unsafe."""
    writer = BulkWriter(watched)
    watched.open.clear()
    first, second = (asyncio.create_task(writer.insert({"_id": each})) for each in "ab")
    await asyncio.sleep(0.01)
    released = uptime()
    watched.open.set()
    assert await first < released
    assert await second < released
    watched.open.clear()
    waiting = asyncio.create_task(writer.insert({"_id": "c"}))
    behind = asyncio.create_task(writer.insert({"_id": "d"}))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(writer.insert({"_id": "e"}))
    await asyncio.sleep(0.05)
    released = uptime()
    watched.open.set()
    await waiting
    await behind
    assert await late >= released, "it was sent after the command before had ended"


async def test_cancelled_caller_leaves_the_others_their_command(
    orders: Any, watched: Watched
) -> None:
    """The first caller has begun the command, and the second waits for the next one."""
    writer = BulkWriter(watched)
    watched.open.clear()
    tasks = [asyncio.create_task(writer.insert({"_id": each})) for each in "abc"]
    await asyncio.sleep(0)
    late = [asyncio.create_task(writer.insert({"_id": each})) for each in "de"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    late[0].cancel()
    await asyncio.sleep(0)
    watched.open.set()
    fates = await all_of(*tasks, *late)
    assert kinds(fates)[1:3] == [float, float]
    assert kinds(fates)[4] is float
    found = {each["_id"] async for each in orders.find({})}
    assert found == {"a", "b", "c", "e"}, "what was cancelled before it was sent was written"


async def test_value_that_cannot_be_encoded_fails_alone(orders: Any, watched: Watched) -> None:
    writer = BulkWriter(watched)
    fates = await all_of(
        writer.insert({"_id": 1}),
        writer.insert({"_id": 2, "x": object()}),
        writer.insert({"_id": 3}),
    )
    assert kinds(fates) == [float, InvalidDocument, float]
    assert await orders.count_documents({}) == 2


async def test_store_that_refuses_is_unavailable_to_all_and_recovers(watched: Watched) -> None:
    writer = BulkWriter(watched)
    watched.fails = OperationFailure("not primary", 10107)
    fates = await all_of(*(writer.insert({"_id": each}) for each in "abc"))
    assert set(kinds(fates)) == {StoreUnavailableError}
    watched.fails = None
    assert isinstance(await writer.insert({"_id": "a"}), float)


async def test_store_that_is_slow_by_the_document_gets_fewer_at_once(watched: Watched) -> None:
    """Otherwise the last of a large command would wait for all others, beyond its time."""
    writer = BulkWriter(watched)
    watched.seconds_a_write = 0.02
    await all_of(*(writer.insert({"_id": number}) for number in range(60)))
    assert watched.commands[0] == 60
    watched.commands.clear()
    await all_of(*(writer.insert({"_id": 100 + number}) for number in range(60)))
    assert max(watched.commands) <= 30


async def test_store_that_is_slow_by_the_command_still_gets_several_at_once(
    watched: Watched,
) -> None:
    writer = BulkWriter(watched)
    watched.seconds_a_command = 0.26
    for round_ in range(4):
        await all_of(*(writer.insert({"_id": 100 * round_ + each}) for each in range(16)))
    assert min(watched.commands) >= 4
