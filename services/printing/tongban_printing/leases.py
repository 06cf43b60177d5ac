"""Leases on kiosks: one replica at a time works off a kiosk's orders.

A lease keeps replicas from doing the same work; that they cannot do harm is the orders' own matter
(`rev` and `epoch` in every write). So a clock that is off, or a process that slept through its
lease, costs a refused write and no sheet of paper. When a lease ends is counted by the store's
clock alone, so that a replica whose clock is ahead takes no kiosk away from one that lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tongban_common.store import NOW, DuplicateKey, Store, store_errors
from tongban_kafka.uptime import uptime


@dataclass(slots=True)
class _Held:
    epoch: int
    until: float
    """`uptime()`, counted from before the write, so never later than the
    store's."""


class KioskLeases:
    """The collection `print_leases`, and what this replica holds of it.

    A process that comes back under the same instance name takes its leases over at once; any other
    when they have run out. Every method may raise StoreUnavailable.
    """

    def __init__(self, store: Store, *, owner: str, seconds: float) -> None:
        self._leases = store.collection("print_leases")
        self._owner = owner
        self._seconds = seconds
        self._held: dict[str, _Held] = {}

    async def hold(self, kiosk_id: str) -> int | None:
        """The epoch under which this replica may work for a kiosk, None while another does.

        Costs nothing while more than half of the lease is left. The epoch grows with every
        taking, so that a write under an old one can be refused.
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
        """Take the lease anew before the next work: someone else may have it."""
        self._held.pop(kiosk_id, None)

    async def release_all(self) -> None:
        """Let others take over at once; for an orderly end."""
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
        """Take the lease if it is ours, free or over; return its epoch, or None if another has it.

        The store decides within the update, because only there its own time can be compared.
        """
        # As numbers: the embedded store does not compare its own time with a stored date.
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
                return None  # another has just taken it for the first time
        return int(lease["epoch"]) if lease.get("owner") == self._owner else None

    def _end(self) -> dict[str, Any]:
        return {"$add": [NOW, round(self._seconds * 1000)]}
