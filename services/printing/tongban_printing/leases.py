"""Leases on kiosks: one replica at a time works off a kiosk's orders.

A lease keeps replicas from doing the same work; that they cannot do harm is the orders' own matter
(`rev` and `epoch` in every write). So a clock that is off, or a process that slept through its
lease, costs a refused write and no sheet of paper.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tongban_common.store import DuplicateKey, Store, store_errors


@dataclass(slots=True)
class _Held:
    epoch: int
    until: float
    """`time.monotonic()`, counted from before the write, so never later than the store's."""


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
        began = time.monotonic()
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
                {"$set": {"until": datetime.now(UTC)}, "$unset": {"owner": ""}},
            )

    async def _renew(self, kiosk_id: str, epoch: int) -> bool:
        with store_errors():
            result = await self._leases.update_one(
                {"_id": kiosk_id, "owner": self._owner, "epoch": epoch},
                {"$set": {"until": self._end()}},
            )
        return bool(result.matched_count)

    async def _take(self, kiosk_id: str) -> int | None:
        mine_or_free = [{"owner": self._owner}, {"until": {"$lt": datetime.now(UTC)}}]
        with store_errors():
            try:
                lease = await self._leases.find_one_and_update(
                    {"_id": kiosk_id, "$or": mine_or_free},
                    {"$set": {"owner": self._owner, "until": self._end()}, "$inc": {"epoch": 1}},
                    upsert=True,
                    return_document=True,
                )
            except DuplicateKey:
                return None  # it is there, neither ours nor free
        return int(lease["epoch"])

    def _end(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._seconds)
