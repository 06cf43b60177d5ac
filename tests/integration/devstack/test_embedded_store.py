"""The embedded store does for us what a MongoDB does."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorGridFSBucket
from pymongo import ReturnDocument, WriteConcern
from pymongo.errors import DuplicateKeyError, PyMongoError

from tongban_devstack.embedded import EmbeddedStore


@pytest.fixture
async def database(store: str) -> AsyncIterator[Any]:
    client: Any = AsyncIOMotorClient(store)
    yield client["embedded-store"]
    await client.drop_database("embedded-store")
    client.close()


async def test_a_unique_index_admits_one(database: Any) -> None:
    await database.guards.create_index("key", unique=True)
    racing = [database.guards.insert_one({"key": "k", "by": n}) for n in range(8)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    assert sum(isinstance(each, DuplicateKeyError) for each in outcomes) == 7
    assert await database.guards.count_documents({"key": "k"}) == 1


async def test_find_one_and_update_is_atomic(database: Any) -> None:
    await database.leases.insert_one({"_id": "lease", "fence": 0})
    taken = await asyncio.gather(
        *(
            database.leases.find_one_and_update(
                {"_id": "lease"}, {"$inc": {"fence": 1}}, return_document=ReturnDocument.AFTER
            )
            for _ in range(20)
        )
    )
    assert sorted(each["fence"] for each in taken) == list(range(1, 21))


async def test_a_transaction_is_all_or_nothing(database: Any) -> None:
    async with await database.client.start_session() as session:
        with pytest.raises(DuplicateKeyError):
            async with session.start_transaction():
                await database.once.insert_one({"_id": "first"}, session=session)
                await database.once.insert_one({"_id": "second"}, session=session)
                await database.once.insert_one({"_id": "first"}, session=session)
    assert await database.once.count_documents({}) == 0


async def test_gridfs_keeps_a_document(database: Any) -> None:
    content = bytes(range(256)) * 12_000  # 3 MB, a dozen chunks
    bucket = AsyncIOMotorGridFSBucket(database)
    number = await bucket.upload_from_stream("certificate.pdf", content)
    stream = await bucket.open_download_stream(number)
    assert await stream.read() == content


async def test_an_index_may_expire_documents(database: Any) -> None:
    await database.brief.create_index("at", expireAfterSeconds=3600)
    indexes = await database.brief.index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 3600


async def test_store_killed_keeps_acknowledged_writes(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path / "store") as server:
        address = server.address
        client: Any = AsyncIOMotorClient(address, retryWrites=False)
        writes = client.kills.get_collection(
            "writes", write_concern=WriteConcern(w="majority", j=True)
        )
        acknowledged: set[str] = set()
        enough, killed = asyncio.Event(), asyncio.Event()

        async def write(writer: int) -> None:
            """Until the store is gone."""
            for number in itertools.count():
                if killed.is_set():
                    return
                name = f"{writer}-{number}"
                with suppress(PyMongoError):
                    await writes.insert_one({"_id": name})
                    acknowledged.add(name)
                if len(acknowledged) >= 200:
                    enough.set()

        writers = [asyncio.create_task(write(number)) for number in range(5)]
        await asyncio.wait_for(enough.wait(), 20)
        server.send_signal(signal.SIGKILL)
        await server.wait()
        killed.set()
        await server.stop()
        await server.start()
        assert server.address == address
        await asyncio.gather(*writers)
        found = {document["_id"] async for document in writes.find()}
        assert acknowledged <= found
        client.close()
