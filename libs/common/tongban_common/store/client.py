"""Connecting to the store, and telling "not now" from "never"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    WTimeoutError,
)

Collection = Any
"""A motor collection. Motor has no types that a strict checker accepts."""
DuplicateKey = DuplicateKeyError


class StoreUnavailable(Exception):
    """The store does not answer now; whether a write took effect is not known."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's connection errors into StoreUnavailable; others pass."""
    try:
        yield
    except (AutoReconnect, ConnectionFailure, NetworkTimeout, ExecutionTimeout, WTimeoutError) as e:
        raise StoreUnavailable(f"store: {type(e).__name__}") from e


class Store:
    """A lazily connected store. Writes are acknowledged by a majority, journalled.

    `timeout_ms` bounds finding a server and each socket operation, so that a store that is down
    costs a caller that long and no longer.
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
        """One of the collections; made on first write."""
        return self._database[name]

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store does not answer."""
        with store_errors():
            await self._client.admin.command("ping")

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()
