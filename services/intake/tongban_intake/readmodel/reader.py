"""Reads the read model, never waiting longer for the store than a person would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog

from tongban_common.store import Store, StoreUnavailable, store_errors
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import RequestRecord

log = structlog.get_logger(__name__)
Found = TypeVar("Found")

_REST_AFTER_FAILURE = 1.0
"""Seconds for which a store that did not answer is not asked again."""
_MOST_AT_ONCE = 200
_APART = 0.01


class ReadModel:
    """The collection `requests`, read.

    `seconds` bounds every call. A store that does not answer in time is unavailable, and is then
    left alone for a second, so that its being down costs one caller a wait and not all of them.
    """

    def __init__(self, store: Store, *, seconds: float) -> None:
        self._requests = store.collection(COLLECTION)
        self._seconds = seconds
        self._rest_until = 0.0

    async def get(self, request_id: str) -> RequestRecord | None:
        """What is known of a request; None where nothing is, yet.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._one({"_id": request_id})

    async def by_code(self, code: str) -> RequestRecord | None:
        """The request that has a document with this verification code.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._one({"codes": code})

    async def digests(self, request_ids: list[str], *, seconds: float) -> dict[str, str]:
        """The digests of those requests that are known. `seconds` is this caller's patience.

        Raises:
            StoreUnavailable: no answer in time.
        """
        query = {"_id": {"$in": request_ids}, "body_digest": {"$exists": True}}
        cursor = self._requests.find(query, {"body_digest": 1})
        found = await _within(seconds, cursor.to_list(length=len(request_ids)))
        return {each["_id"]: each["body_digest"] for each in found}

    async def _one(self, query: dict[str, Any]) -> RequestRecord | None:
        if time.monotonic() < self._rest_until:
            raise StoreUnavailable("store: did not answer a moment ago")
        try:
            document = await _within(self._seconds, self._requests.find_one(query))
        except StoreUnavailable:
            self._rest_until = time.monotonic() + _REST_AFTER_FAILURE
            raise
        return None if document is None else RequestRecord(document)


async def _within(seconds: float, answer: Awaitable[Found]) -> Found:
    try:
        with store_errors():
            async with asyncio.timeout(seconds):
                return await answer
    except TimeoutError:
        raise StoreUnavailable("store: no answer in time") from None


class DigestLookup:
    """Answers `Acceptor`: one query at a time, for all who have come to ask meanwhile.

    A look-up costs the store and this process about the same for one id as for a hundred, and
    almost every submission needs one; so under load they begin `_APART` seconds after each other.
    A store that fails is left alone for a second, so that being down costs submissions nothing.
    """

    def __init__(self, read_model: ReadModel, *, seconds: float) -> None:
        self._read_model = read_model
        self._seconds = seconds
        self._waiting: dict[str, list[asyncio.Future[str | None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._last = 0.0
        self._rest_until = 0.0

    async def digest(self, request_id: str) -> str | None:
        """The digest of the body under this id; None where it is not known or not told in time."""
        if time.monotonic() < self._rest_until:
            return None
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                loop = asyncio.get_running_loop()
                if (early := self._last + _APART - loop.time()) > 0:
                    await asyncio.sleep(early)
                self._last = loop.time()
                batch = dict(list(self._waiting.items())[:_MOST_AT_ONCE])
                for request_id in batch:
                    del self._waiting[request_id]
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: dict[str, list[asyncio.Future[str | None]]]) -> None:
        known: dict[str, str] = {}
        try:
            if time.monotonic() >= self._rest_until:
                known = await self._read_model.digests(list(batch), seconds=self._seconds)
        except StoreUnavailable:
            log.warning("store_not_asked_for_digests", seconds=_REST_AFTER_FAILURE)
            self._rest_until = time.monotonic() + _REST_AFTER_FAILURE
        finally:
            # Even when something unforeseen is raised: what is not known goes to the router.
            for request_id, futures in batch.items():
                for future in futures:
                    if not future.done():  # whoever asked may have gone
                        future.set_result(known.get(request_id))
