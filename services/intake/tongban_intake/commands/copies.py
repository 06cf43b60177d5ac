"""Assign copy numbers to print orders, so that no two orders of a document have the same one."""

from __future__ import annotations

from tongban_common.store import NOW, DuplicateKey, Store, expire, store_errors
from tongban_common.topics import GUARDS_KEPT

_COLLECTION = "print_copies"


class CopyNumbers:
    """Reserves numbers in the store, so that two replicas never assign one number twice.

    Idempotent: a repeated order gets the number that it had, also after a crash between reserving
    and publishing. If the collection is lost, numbers continue after the highest one that the read
    model has.
    """

    def __init__(self, store: Store) -> None:
        self._copies = store.collection(_COLLECTION)
        self._prepared = False

    async def reserve(self, request_id: str, document_id: str, order_id: str, *, above: int) -> int:
        """Return the number of this order's copy, higher than `above` when the order is new.

        Raises:
            StoreUnavailableError: the caller may repeat the call.
        """
        if not self._prepared:
            with store_errors():
                await self._copies.create_index("order_id", unique=True, name="order")
            # After that time only the read model has the order and its number.
            await expire(self._copies, "kept_at", name="kept", after=GUARDS_KEPT)
            self._prepared = True
        with store_errors():
            while True:
                kept = await self._copies.find_one({"order_id": order_id})
                if kept is not None:
                    return int(kept["copy"])
                above += 1
                if await self._reserved(f"{request_id}/{document_id}/{above}", order_id, above):
                    return above

    async def _reserved(self, key: str, order_id: str, copy: int) -> bool:
        """Reserve one number, stamped by the store's clock; return False if another order has it,
        or if another replica has just reserved one for this order."""
        reservation = {"order_id": {"$literal": order_id}, "copy": copy, "kept_at": NOW}
        first = {"$eq": [{"$type": "$order_id"}, "missing"]}
        update = [{"$replaceWith": {"$cond": [first, {"_id": "$_id", **reservation}, "$$ROOT"]}}]
        try:
            result = await self._copies.update_one({"_id": key}, update, upsert=True)
        except DuplicateKey:
            return False
        return result.upserted_id is not None
