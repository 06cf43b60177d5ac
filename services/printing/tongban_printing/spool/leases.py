"""Leases on kiosks: one replica at a time works off a kiosk's orders.

A lease keeps replicas from doing the same work; the fencing that prevents harm is `rev` and `epoch`
in every write of an order. So a wrong clock, or a process that was suspended past its lease, costs
a refused write and no sheet of paper. The store's clock alone measures leases, so a replica whose
clock is ahead cannot take a kiosk from a live one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tongban_common.store import NOW, DuplicateKey, Store, store_errors
from tongban_kafka import uptime


@dataclass(slots=True)
class _Held:
    epoch: int
    until: float
    """End by `uptime()`. Counted from before the write, so never later than the store's end."""


class KioskLeases:
    """Takes, keeps and releases leases in the collection `print_leases`.

    A restarted process with the same instance name gets its leases back at once, any other when
    they have expired. Every method may raise StoreUnavailableError.
    """

    def __init__(self, store: Store, *, owner: str, seconds: float) -> None:
        self._leases = store.collection("print_leases")
        self._owner = owner
        self._seconds = seconds
        self._held: dict[str, _Held] = {}

    async def hold(self, kiosk_id: str) -> int | None:
        """Return the epoch under which this replica may work for a kiosk; None if another holds it.

        No I/O while more than half of the lease is left. The epoch grows each time a lease is
        taken, so that the spool can refuse a write under an old one (fencing).
        """
        held = self._held.get(kiosk_id)
        began = uptime()
        if held is not None and held.until - began > self._seconds / 2:
            return held.epoch
        renewed = held is not None and await self._renew(kiosk_id, held.epoch)
        epoch = held.epoch if held is not None and renewed else await self._take(kiosk_id)
        if epoch is None:
            self._held.pop(kiosk_id, None)
            return None
        self._held[kiosk_id] = _Held(epoch, began + self._seconds)
        return epoch

    def forget(self, kiosk_id: str) -> None:
        """Take the lease anew before the next work, since another replica may have it."""
        self._held.pop(kiosk_id, None)

    async def release_all(self) -> None:
        """Release all leases at shutdown, so that other replicas need not wait for their expiry."""
        held, self._held = self._held, {}
        with store_errors():
            await self._leases.update_many(
                {"_id": {"$in": list(held)}, "owner": self._owner},
                [{"$set": {"until": NOW}}, {"$unset": "owner"}],
            )

    async def _renew(self, kiosk_id: str, epoch: int) -> bool:
        with store_errors():
            result = await self._leases.update_one(
                {"_id": kiosk_id, "owner": self._owner, "epoch": epoch},
                [{"$set": {"until": self._end()}}],
            )
        return bool(result.matched_count)

    async def _take(self, kiosk_id: str) -> int | None:
        """Take the lease if it is ours, free or expired; return its epoch, or None if another has
        it.

        The store decides within the update, because only there can its own time be compared.
        """
        # Compare numbers: the embedded store cannot compare its own time with a stored date.
        free = {"$lt": [{"$toLong": {"$ifNull": ["$until", NOW]}}, {"$toLong": NOW}]}
        fresh = {"$eq": [{"$type": "$epoch"}, "missing"]}
        mine = {"$eq": ["$owner", {"$literal": self._owner}]}
        taken = {
            "_id": "$_id",
            "owner": {"$literal": self._owner},
            "until": self._end(),
            "epoch": {"$add": [{"$ifNull": ["$epoch", 0]}, 1]},
        }
        may = {"$or": [fresh, mine, free]}
        with store_errors():
            try:
                lease = await self._leases.find_one_and_update(
                    {"_id": kiosk_id},
                    [{"$replaceWith": {"$cond": [may, taken, "$$ROOT"]}}],
                    upsert=True,
                    return_document=True,
                )
            except DuplicateKey:
                return None  # another replica has just created it
        return int(lease["epoch"]) if lease.get("owner") == self._owner else None

    def _end(self) -> dict[str, Any]:
        return {"$add": [NOW, round(self._seconds * 1000)]}
