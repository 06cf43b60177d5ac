"""Send the writes of many callers as few commands, and tell each caller the fate of its own.

A write of one document costs the store and this process mostly what a command costs. So one command
at a time is under way for a collection, and what is asked for meanwhile goes out with the next: a
process with little to do writes at once, and a busy one writes fewer, fuller commands. Databases
know this as group commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError

from tongban_common.errors import CommonError
from tongban_common.store.client import (
    BAD_VALUE_CODES,
    DUPLICATE_KEY_CODES,
    Collection,
    StoreUnavailableError,
    store_errors,
)
from tongban_kafka import uptime

_MATCHED_NOTHING = DUPLICATE_KEY_CODES | {66}
"""MongoDB's codes for an upsert that cannot insert; 66 is that of a changed `_id`."""
_NO_SUCH_DOCUMENT = {"_id": "~no document may have this id~"}
"""Set on an insert, so that an update that matches nothing fails instead of inserting."""
_MOST = 500
"""Most writes of one command."""
_LEAST = 4
"""Fewest writes of a command, however slow the store is."""
_QUICK_S = 0.25
"""Seconds that a command should take at most: a store that is slow by the document gets fewer."""

Document = dict[str, Any]


@dataclass(slots=True)
class _Write:
    """A write that waits for its command."""

    operation: Any
    future: asyncio.Future[float]
    """Resolves to the `uptime()` before the command was sent."""


class BulkWriter:
    """Writes single documents of one collection, with the write concern of the collection.

    The order in which writes of different callers take effect is not defined. Both methods return
    the `uptime()` before the command was sent: until then the write cannot have been seen.
    """

    def __init__(self, collection: Collection) -> None:
        self._inserts = _Lane(collection, _insert_refused, name="inserts")
        self._updates = _Lane(collection, _update_refused, name="updates")

    async def insert(self, document: Document) -> float:
        """Insert a document.

        Raises:
            DuplicateKey: a document has its `_id`.
            StoreUnavailableError: it may or may not have been written.
            WriteError, InvalidDocument, DocumentTooLarge: the store can never keep it.
        """
        return await self._inserts.write(InsertOne(document))

    async def update(self, query: Document, update: Document) -> float | None:
        """Update a document; return None if the query does not match it.

        Args:
            query: has `_id`, and equalities alone.
            update: update operators other than `$setOnInsert`.

        Raises:
            StoreUnavailableError: it may or may not have been written.
            WriteError, InvalidDocument, DocumentTooLarge: the store can never keep it.
        """
        # The answer to a command says which upserts failed, but not which updates matched nothing.
        # So an update is sent as an upsert that cannot insert.
        guarded = {**update, "$setOnInsert": _NO_SUCH_DOCUMENT}
        try:
            return await self._updates.write(UpdateOne(query, guarded, upsert=True))
        except _MatchedNothingError:
            return None


class _MatchedNothingError(CommonError):
    """Raised to the caller of an update that matched nothing."""


class _Lane:
    """Sends one kind of write, one command at a time."""

    def __init__(
        self, collection: Collection, refusal: Callable[[int], Exception], *, name: str
    ) -> None:
        self._collection = collection
        self._refusal = refusal
        self._name = name
        self._waiting: deque[_Write] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._most = _MOST

    async def write(self, operation: Any) -> float:
        """Send a write with the next command; return the `uptime()` before that."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(operation, future))
        if self._sending is None:
            # A task of its own: whoever begins a command may be cancelled while others wait.
            self._sending = asyncio.create_task(self._send_all(), name=f"store-{self._name}")
        return await future

    async def _send_all(self) -> None:
        batch: list[_Write] = []
        try:
            while batch := self._next_batch():
                await self._send(batch)
        finally:
            self._sending = None
            for write in (*batch, *self._waiting):  # none, unless the process ends
                write.future.cancel()
            self._waiting.clear()

    def _next_batch(self) -> list[_Write]:
        """Return the next writes. One whose caller was cancelled is not sent any more."""
        batch: list[_Write] = []
        while self._waiting and len(batch) < self._most:
            write = self._waiting.popleft()
            if not write.future.done():
                batch.append(write)
        return batch

    async def _send(self, batch: Sequence[_Write]) -> None:
        began = uptime()
        try:
            refused = await self._command(batch)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, StoreUnavailableError):
                # The driver cannot encode one of them, which must not be the fault of the others.
                for write in batch:
                    await self._send([write])
                return
            for write in batch:
                _fail(write.future, error)
            return
        self._adapt(uptime() - began, len(batch))
        for index, write in enumerate(batch):
            if index in refused:
                _fail(write.future, self._refusal(refused[index]))
            elif not write.future.done():
                write.future.set_result(began)

    async def _command(self, batch: Sequence[_Write]) -> dict[int, int]:
        """Send the batch; return the code of each write that was refused, by its index.

        Raises:
            StoreUnavailableError: none is known to have been written.
            InvalidDocument, DocumentTooLarge: the driver cannot send one of them.
        """
        with store_errors():
            try:
                operations = [write.operation for write in batch]
                result = await self._collection.bulk_write(operations, ordered=False)
                upserted, refused = result.upserted_ids, dict[int, int]()
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                refused = {each["index"]: each["code"] for each in error.details["writeErrors"]}
                upserted = error.details.get("upserted")
            if upserted:
                raise TypeError("the store inserts where an update would change _id")
            return refused

    def _adapt(self, took_s: float, count: int) -> None:
        if took_s > _QUICK_S and count > _LEAST:
            self._most = max(_LEAST, min(count, self._most) // 2)
        elif count >= self._most:
            self._most = min(_MOST, self._most * 2)


def _fail(future: asyncio.Future[float], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _insert_refused(code: int) -> Exception:
    return (
        DuplicateKeyError("duplicate key", code) if code in DUPLICATE_KEY_CODES else _refused(code)
    )


def _update_refused(code: int) -> Exception:
    return _MatchedNothingError() if code in _MATCHED_NOTHING else _refused(code)


def _refused(code: int) -> Exception:
    """Return what a write by itself would have raised."""
    kind = WriteError if code in BAD_VALUE_CODES else OperationFailure
    try:
        with store_errors():
            raise kind(f"refused with code {code}", code)
    except Exception as error:
        return error
