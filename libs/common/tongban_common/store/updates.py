"""Send many writes as one command, in which each succeeds or fails by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tongban_common.store.client import (
    BAD_VALUE_CODES,
    DUPLICATE_KEY_CODES,
    Collection,
    StoreUnavailableError,
    store_errors,
)


@dataclass(frozen=True, slots=True)
class Updated:
    """The result of `update_unordered`."""

    written: int
    """Number of records that were changed or inserted."""
    collided: bool
    """True if an upsert met a record with its id that the filter did not match."""


async def update_unordered(collection: Collection, updates: Sequence[dict[str, Any]]) -> Updated:
    """Send all updates as one command, acknowledged by a majority and journalled.

    The server lists failed writes in its answer, so they do not raise by themselves.

    Args:
        updates: each with `q`, `u` and `upsert`, as MongoDB's command `update` takes them.

    Raises:
        StoreUnavailableError: the store is full, refuses writes or lacks a majority; some updates
            may have been written.
        ValueError: the store cannot keep one of the values; the others were written.
    """
    with store_errors():
        answer = await collection.database.command(
            "update",
            collection.name,
            updates=list(updates),
            ordered=False,
            writeConcern={"w": "majority", "j": True},
        )
    errors = answer.get("writeErrors") or ()
    if not isinstance(errors, Sequence):
        raise TypeError(f"writeErrors is a {type(errors).__name__}")
    codes = {error["code"] for error in errors}
    if trouble := codes - BAD_VALUE_CODES - DUPLICATE_KEY_CODES:
        raise StoreUnavailableError(f"store: refused writes with codes {sorted(trouble)}")
    if answer.get("writeConcernError"):
        raise StoreUnavailableError("the write is not known to be on a majority")
    if bad := codes & BAD_VALUE_CODES:
        raise ValueError(f"the store cannot keep a value, codes {sorted(bad)}")
    written = int(answer.get("nModified", 0)) + len(answer.get("upserted") or ())
    return Updated(written, collided=bool(codes))
