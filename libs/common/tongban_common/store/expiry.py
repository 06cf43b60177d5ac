"""Make TTL indexes, by which the store deletes old records; it counts by its own clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pymongo.errors import OperationFailure

from tongban_common.store.client import Collection, store_errors

_INDEX_OPTIONS_CONFLICT, _INDEX_KEY_SPECS_CONFLICT = 85, 86
"""MongoDB's error codes for an index that exists under that name and differs."""
NOW = "$$NOW"
"""The server's time, as a value in an update by an aggregation pipeline."""
STAMP = "$currentDate"
"""The update operator that sets fields to the server's time."""


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
