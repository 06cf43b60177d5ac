"""Read the read model, with a time limit on every call to the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from tongban_common.store import Store, StoreUnavailableError, store_errors
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import RequestRecord

Fields = dict[str, Any]
Found = TypeVar("Found")

REST_AFTER_FAILURE = 1.0
"""Seconds without further queries after the store has not answered."""
_OF_ACCEPTED = {"body_digest": 1, "notes": 1, "applying": 1, "origin.branch_id": 1}
_OF_OPEN = {**_OF_ACCEPTED, "sealed.kid": 1, "sealed.key": 1, "sealed.parts.applicant": 1}
_OF_DESK = {"item": 1, "timeline": 1, "orders": 1}
_MOST_OPEN = 10
"""Most requests in progress that are compared for one applicant and item. One answer of the store
serves many look-ups, so its size has to be bounded."""


class ReadModel:
    """Queries the collection `requests`.

    `seconds` bounds every call. After a call without an answer in time, further calls fail at once
    for `REST_AFTER_FAILURE` seconds, so that an outage makes one caller wait and not all of them.
    """

    def __init__(self, store: Store, *, seconds: float) -> None:
        self._requests = store.collection(COLLECTION)
        self._seconds = seconds
        self._rest_until = 0.0

    async def get(self, request_id: str) -> RequestRecord | None:
        """Return a request; None where nothing of it has been projected.

        Raises:
            StoreUnavailableError: no answer in time.
        """
        return await self._one({"_id": request_id})

    async def by_code(self, code: str) -> RequestRecord | None:
        """Return the request that has a document with this verification code, or None.

        Raises:
            StoreUnavailableError: no answer in time.
        """
        return await self._one({"codes": code})

    async def accepted(self, request_ids: list[str], *, seconds: float) -> list[Fields]:
        """Return `_id`, `body_digest` and, where they exist, `notes`, `applying` and
        `origin.branch_id` of those requests that have a status. `seconds` bounds this call.

        Raises:
            StoreUnavailableError: no answer in time.
        """
        query = {"_id": {"$in": request_ids}, "body_digest": {"$exists": True}}
        return await self._all(query, _OF_ACCEPTED, most=len(request_ids), seconds=seconds)

    async def open_for(self, keys: list[str], *, seconds: float) -> list[Fields]:
        """Return the requests in progress with these `applying_key`s, about ten for each key: the
        fields that `accepted` returns, and the envelope of the applicant.

        Raises:
            StoreUnavailableError: no answer in time.
        """
        query = {"applying": {"$in": keys}}
        return await self._all(query, _OF_OPEN, most=_MOST_OPEN * len(keys), seconds=seconds)

    async def of_branch(self, branch_id: str, *, most: int) -> list[RequestRecord]:
        """Return the newest requests of a branch, without documents, messages and envelopes.

        Raises:
            StoreUnavailableError: no answer in time.
        """
        found = await self._all(
            {"origin.branch_id": branch_id},
            _OF_DESK,
            most=most,
            seconds=self._seconds,
            sort={"submitted_at": -1},
        )
        return [RequestRecord(document) for document in found]

    async def _all(
        self, query: Fields, fields: dict[str, int], *, most: int, seconds: float, **more: Any
    ) -> list[Fields]:
        """Run a find as a plain command: a cursor costs this process a third more."""
        answer = await _within(
            seconds,
            self._requests.database.command(
                "find", COLLECTION, filter=query, projection=fields,
                limit=most, batchSize=most, singleBatch=True, **more,
            ),
        )  # fmt: skip
        found: list[Fields] = answer["cursor"]["firstBatch"]
        return found

    async def _one(self, query: dict[str, Any]) -> RequestRecord | None:
        if time.monotonic() < self._rest_until:
            raise StoreUnavailableError("store: did not answer a moment ago")
        try:
            document = await _within(self._seconds, self._requests.find_one(query))
        except StoreUnavailableError:
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
            raise
        return None if document is None else RequestRecord(document)


async def _within(seconds: float, answer: Awaitable[Found]) -> Found:
    try:
        with store_errors():
            async with asyncio.timeout(seconds):
                return await answer
    except TimeoutError:
        raise StoreUnavailableError("store: no answer in time") from None
