"""Numbers of copies on a real store: one order's alone, and not kept for ever."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from tongban_common.store import Store
from tongban_common.topics import GUARDS_KEPT
from tongban_intake.commands.copies import CopyNumbers


@pytest.fixture
async def database(store: str) -> AsyncIterator[Store]:
    opened = Store(store, f"test_{uuid.uuid4().hex[:10]}")
    yield opened
    opened.close()


async def test_a_reservation_is_an_orders_own_and_ends_with_its_time(database: Store) -> None:
    replicas = CopyNumbers(database), CopyNumbers(database)
    given = await asyncio.gather(
        *(
            replica.reserve("r", "d", order, above=1)
            for replica in replicas
            for order in ("o-1", "o-2", "o-3")
        )
    )
    assert sorted(given[:3]) == [2, 3, 4]
    assert given[3:] == given[:3]
    reserved = database.collection("print_copies")
    indexes = await reserved.index_information()
    assert indexes["kept"]["expireAfterSeconds"] == GUARDS_KEPT.total_seconds()
    assert await reserved.count_documents({"kept_at": {"$type": "date"}}) == 3
    # Its time is over: the read model knows that there were four.
    await reserved.delete_many({})
    assert await replicas[0].reserve("r", "d", "o-4", above=4) == 5
