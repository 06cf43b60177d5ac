"""What is remembered of a store that was restored from a back-up (`tongban restore`).

A back-up lacks the guards that were written after it was made. A record that was appended to its
topic before the restoration may therefore have taken effect although no guard says so; whoever
handles such a record first asks, and never acts unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tongban_common.store.client import Store, StoreUnavailable, store_errors

REPLAY_OF, RESTORED = "replay_of", b"restore"
"""Header of a record that a restoration has handled again: what it asks for may have taken effect.
"""
READMODEL_ORIGIN = "readmodel_origin"
"""The collection that says since when the read model knows every request (intake writes it)."""
_COLLECTION, _ID = "recovery", "restored"
_DUPLICATE_KEY = 11000


async def mark_restored(store: Store, before_ms: int) -> None:
    """Remember that guards of records appended before this Unix time (ms) may be missing, and that
    the read model no longer knows every request: intake decides that anew within a minute.

    Raises:
        StoreUnavailable
    """
    with store_errors():
        await store.collection(_COLLECTION).update_one(
            {"_id": _ID}, {"$max": {"before_ms": before_ms}}, upsert=True
        )
        await store.collection(READMODEL_ORIGIN).delete_many({})


async def restored_before_ms(store: Store) -> int:
    """Return that Unix time in milliseconds; 0 where the store was never restored.

    Raises:
        StoreUnavailable
    """
    with store_errors():
        found = await store.collection(_COLLECTION).find_one({"_id": _ID})
    return int(found["before_ms"]) if found else 0


class RestoredStore:
    """Tells which records may have taken effect without a guard. Reads the store once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before_ms: int | None = None

    async def may_lack_guard(
        self, timestamp_ms: int, headers: Iterable[tuple[str, bytes | None]]
    ) -> bool:
        """Return True for a record of before the restoration, or handled again because of it.

        Args:
            timestamp_ms: Unix time at which the record was appended.

        Raises:
            StoreUnavailable
        """
        if self._before_ms is None:
            self._before_ms = await restored_before_ms(self._store)
        return timestamp_ms < self._before_ms or (REPLAY_OF, RESTORED) in headers


async def upsert_guards(store: Store, collection: str, updates: Sequence[dict[str, Any]]) -> int:
    """Carry out upserts whose filter leaves out what is over; return how many guards changed.

    A guard that is over is not matched, so its upsert collides with it: that is no failure.

    Args:
        updates: each with `q`, `u` and `upsert`, as MongoDB's command `update` takes them.

    Raises:
        StoreUnavailable: not all was written; the same updates may come again.
    """
    if not updates:
        return 0
    database = store.collection(collection).database
    with store_errors():
        answer = await database.command(
            "update", collection, updates=list(updates), ordered=False,
            writeConcern={"w": "majority", "j": True},
        )  # fmt: skip
    errors = [error for error in answer.get("writeErrors", ()) if error["code"] != _DUPLICATE_KEY]
    if errors or answer.get("writeConcernError"):
        codes = sorted({error["code"] for error in errors})
        raise StoreUnavailable(f"the store refused guards (codes {codes or 'write concern'})")
    return int(answer.get("nModified", 0)) + len(answer.get("upserted", ()))
