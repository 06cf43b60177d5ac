"""Connect to the store, make its indexes, and tell errors that pass from errors about a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from tongban_common.errors import CommonError
from tongban_kafka import ProcessTroubleError

log = structlog.get_logger()

Collection = Any
"""A motor collection. Motor has no types that a strict checker accepts."""
DuplicateKey = DuplicateKeyError
NOW = "$$NOW"
"""The server's time, as a value in an update by an aggregation pipeline."""
STAMP = "$currentDate"
"""The update operator that sets fields to the server's time."""
_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT = 85, 86
"""MongoDB's error codes for an index that exists under that name and differs."""

DUPLICATE_KEY_CODES = frozenset({11000, 11001, 12582})
BAD_VALUE_CODES = frozenset(
    {
        2,  # BadValue
        14,  # TypeMismatch
        15,  # Overflow
        22,  # InvalidBSON
        28,  # PathNotViable
        52,  # DollarPrefixedFieldName
        56,  # EmptyFieldName
        57,  # DottedFieldName
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # the document would be larger than 16 MB after this update
        17420,  # the same, of an update by an aggregation pipeline
    }
)
"""MongoDB's codes for a value that the server can never store. They are the only refusals that are
about the record in hand: every other code counts as trouble of the store."""


class StoreUnavailableError(CommonError, ProcessTroubleError):
    """Raised when the store does not answer, or refuses; a write may or may not have taken effect.

    The text names the error and its code, and never quotes the server, whose text may quote a
    value.
    """


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreUnavailableError for every error of the driver, except those about a value.

    A full disk, a changed password, a missing right, a quota or an unlisted code would otherwise
    count against the record in hand, and make it a dead letter. These pass unchanged:
    DuplicateKeyError, a write refused with one of BAD_VALUE_CODES, and the errors of the BSON
    encoder (InvalidDocument, DocumentTooLarge), which do not derive from PyMongoError.
    """
    try:
        yield
    except PyMongoError as error:
        if _is_about_a_value(error):
            raise
        raise StoreUnavailableError(f"store: {_described(error)}") from error


def _is_about_a_value(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        codes = {each.get("code") for each in error.details.get("writeErrors", ())}
        whole = not error.details.get("writeConcernErrors")
        return whole and bool(codes) and codes <= BAD_VALUE_CODES | DUPLICATE_KEY_CODES
    if isinstance(error, OperationFailure):
        return isinstance(error, DuplicateKeyError) or error.code in BAD_VALUE_CODES
    return False


def _described(error: PyMongoError) -> str:
    name = type(error).__name__
    if isinstance(error, BulkWriteError):
        codes = sorted({each.get("code", 0) for each in error.details.get("writeErrors", ())})
        return f"{name} {codes}"
    if isinstance(error, OperationFailure) and error.code is not None:
        return f"{name} {error.code}"
    return name


class Store:
    """A client of the store that connects on first use.

    A majority of replicas acknowledges each write once it is journalled. `timeout_ms` bounds
    finding a server and each socket operation, so a caller waits no longer for a store that is
    down.
    """

    def __init__(self, url: str, name: str, *, timeout_ms: int = 2000) -> None:
        self._client: Any = AsyncIOMotorClient(
            url,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms * 5,
            tz_aware=True,
        )
        self._database = self._client.get_database(
            name, write_concern=WriteConcern(w="majority", j=True)
        )

    def collection(self, name: str) -> Collection:
        """Return a collection; the server makes it on the first write."""
        return self._database[name]

    async def ping(self) -> None:
        """Ask the store for an answer.

        Raises:
            StoreUnavailableError: the store does not answer, or refuses.
        """
        with store_errors():
            await self._client.admin.command("ping")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


async def expire(
    collection: Collection, field: str, *, name: str, after: timedelta, sparse: bool = False
) -> None:
    """Make the TTL index `name`, or change the time of the existing one; idempotent.

    A release with another retention finds the index of the release before. `createIndexes` refuses
    then, and `collMod` changes the time without a rebuild.

    Raises:
        StoreUnavailableError: try again later.
    """
    seconds = round(after.total_seconds())
    with store_errors():
        try:
            await collection.create_index(
                field, name=name, expireAfterSeconds=seconds, **({"sparse": True} if sparse else {})
            )
        except OperationFailure as error:
            if error.code not in (_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT):
                raise
            change: dict[str, Any] = {"name": name, "expireAfterSeconds": seconds}
            await collection.database.command({"collMod": collection.name, "index": change})


async def prepare_store(*prepare: Callable[[], Awaitable[None]]) -> None:
    """Call each function, all of which are idempotent, again and again until the store answers."""
    while True:
        try:
            for each in prepare:
                await each()
        except StoreUnavailableError as error:
            log.warning("waiting_for_store", error=str(error))
            await asyncio.sleep(1.0)
        else:
            return
