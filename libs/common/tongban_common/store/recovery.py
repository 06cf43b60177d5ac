"""Record that a store was restored from a back-up (`tongban restore`).

A back-up lacks the guards that were written after it was made. A record that was appended to its
topic before the restoration may therefore have taken effect although no guard says so. A handler of
such a record first finds out whether it did: it queries the provider, or leaves the decision to a
person.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.events.cloudevents import REPLAY_OF
from tongban_common.store.client import Store, store_errors

RESTORED = b"restore"
"""Value of the header `replay_of` of a record that a restoration publishes again. Such a record may
have taken effect before."""
READMODEL_ORIGIN = "readmodel_origin"
"""The collection in which intake keeps since when the read model knows every request."""
_COLLECTION, _ID = "recovery", "restored"


async def mark_restored(store: Store, before_ms: int) -> None:
    """Record that guards of records appended before this Unix time (ms) may be missing, and that
    the read model may lack requests. Intake determines the latter anew within a minute.

    Raises:
        StoreUnavailableError: try again later.
    """
    with store_errors():
        await store.collection(_COLLECTION).update_one(
            {"_id": _ID}, {"$max": {"before_ms": before_ms}}, upsert=True
        )
        await store.collection(READMODEL_ORIGIN).delete_many({})


async def restored_before_ms(store: Store) -> int:
    """Return that Unix time in milliseconds; 0 if the store was never restored.

    Raises:
        StoreUnavailableError: try again later.
    """
    with store_errors():
        found = await store.collection(_COLLECTION).find_one({"_id": _ID})
    return int(found["before_ms"]) if found else 0


class RestoredStore:
    """Decides which records may have taken effect without a guard. Reads the store once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before_ms: int | None = None

    async def may_lack_guard(
        self, timestamp_ms: int, headers: Iterable[tuple[str, bytes | None]]
    ) -> bool:
        """Return True for a record from before the restoration, or one published again because of
        it.

        Args:
            timestamp_ms: Unix time at which the record was appended.

        Raises:
            StoreUnavailableError
        """
        if self._before_ms is None:
            self._before_ms = await restored_before_ms(self._store)
        return timestamp_ms < self._before_ms or (REPLAY_OF, RESTORED) in headers


def guard_may_have_expired(clock: BusinessClock, at: datetime) -> bool:
    """Return True if a guard of that moment of business time may have expired, so that acting now
    might be acting twice. Guards expire by the wall clock."""
    return timedelta(seconds=clock.real_seconds(clock.now() - at)) > topics.GUARDS_KEPT
