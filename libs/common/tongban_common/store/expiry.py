"""TTL indexes: what a collection forgets by itself, counted by the store's own clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pymongo.errors import OperationFailure

from tongban_common.store.client import Collection, store_errors

_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT = 85, 86
"""Error codes of MongoDB for an index of that name which differs from the one asked for."""
NOW = "$$NOW"
"""The store's own time, as a value in an update that is a pipeline."""
STAMP = "$currentDate"
"""The update operator that sets fields to the store's own time."""


async def expire(
    collection: Collection, field: str, *, name: str, after: timedelta, sparse: bool = False
) -> None:
    """Make the TTL index `name`, or change the time of the index that is there; idempotent.

    A release that keeps records longer than the one before finds the index made by that one.
    `createIndexes` refuses it then, and `collMod` changes it without building it anew.

    Raises:
        StoreUnavailableError: ask again later.
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
