"""The store's contract, under motor and under PyMongo's own asyncio API (docs/adr/0003)."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from pymongo import AsyncMongoClient

from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef
from tongban_common.settings import CommonSettings
from tongban_common.store import (
    DocumentStore,
    DuplicateKey,
    Store,
    StoreUnavailableError,
    client,
    expire,
    store_errors,
)
from tongban_devstack.ports import free_port


class PymongoClient(AsyncMongoClient[dict[str, Any]]):
    """PyMongo's client with motor's `close`, which is no coroutine."""

    closing: ClassVar[set[asyncio.Task[None]]] = set()

    def close(self) -> None:  # type: ignore[override]
        task = asyncio.ensure_future(super().close())
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)


@pytest.fixture(params=["motor", "pymongo"])
async def opened(
    request: pytest.FixtureRequest, store: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """An empty database, by each of the two drivers."""
    if request.param == "pymongo":
        monkeypatch.setattr(client, "AsyncIOMotorClient", PymongoClient)
    made = Store(store, f"test_{uuid.uuid4().hex[:10]}")
    assert isinstance(made._client, AsyncMongoClient) is (request.param == "pymongo")
    yield made
    made.close()


async def test_store_answers_and_keeps_what_was_written(opened: Store) -> None:
    await opened.ping()
    orders = opened.collection("orders")
    with store_errors():
        await orders.insert_one({"_id": "a", "count": 1})
        changed = await orders.find_one_and_update(
            {"_id": "a"}, {"$inc": {"count": 1}}, return_document=True
        )
        assert changed == {"_id": "a", "count": 2}
        assert [each async for each in orders.find({})] == [changed]
        assert await orders.find({}).to_list(None) == [changed]


async def test_second_insert_of_an_id_raises_duplicate_key(opened: Store) -> None:
    orders = opened.collection("orders")
    await orders.insert_one({"_id": "a"})
    with pytest.raises(DuplicateKey), store_errors():
        await orders.insert_one({"_id": "a"})
    assert await orders.count_documents({}) == 1


async def test_expiry_of_an_index_can_be_changed(opened: Store) -> None:
    guards = opened.collection("guards")
    for days in (1, 2):
        await expire(guards, "at", name="expires", after=timedelta(days=days))
        indexes = await guards.index_information()
        assert indexes["expires"]["expireAfterSeconds"] == days * 86_400


async def test_document_is_returned_as_it_was_kept(opened: Store) -> None:
    keys = KeyRing.parse(CommonSettings().keyring.get_secret_value())
    documents = DocumentStore(opened, keys)
    content = b"%PDF-1.7 " + bytes(range(256)) * 64
    sealed = keys.seal("r-1", {"form": {}})
    ref = DocumentRef(
        document_id="d-1",
        title="证明",
        pages=1,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    for _ in range(2):
        assert await documents.put("r-1", ref, content, sealed, at=datetime.now(UTC)) == ref
    kept = await documents.get("r-1", "d-1")
    assert kept is not None
    assert (kept.pdf, kept.ref) == (content, ref)
    assert await documents.get("r-2", "d-1") is None


async def test_store_that_is_away_is_unavailable(opened: Store) -> None:
    away = Store(f"mongodb://127.0.0.1:{free_port()}", "test", timeout_ms=200)
    with pytest.raises(StoreUnavailableError):
        await away.ping()
    away.close()
    await opened.ping()
