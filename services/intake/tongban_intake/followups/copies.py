"""Which copy of a document an order is: no two orders may be the same copy."""

from __future__ import annotations

from datetime import UTC, datetime

from tongban_common.store import DuplicateKey, Store, store_errors

_COLLECTION = "print_copies"
KEPT_SECONDS = 90 * 24 * 3600
"""Of a reservation: three times as long as its order's reports stand on a topic from which a read
model without it could be made anew, and longer than an order is repeated. Later the read model
alone knows the order and its number."""


class CopyNumbers:
    """Reserves numbers in the store, so that two replicas that are asked at once give two.

    An order that comes again, also after a crash between reserving and ordering, gets the number
    it had. If the collection is lost, numbers go on after the highest that the read model knows.
    """

    def __init__(self, store: Store) -> None:
        self._copies = store.collection(_COLLECTION)
        self._prepared = False

    async def reserve(self, request_id: str, document_id: str, order_id: str, *, above: int) -> int:
        """The number of this order's copy, higher than `above` when it is new.

        Raises:
            StoreUnavailable: ask again later.
        """
        with store_errors():
            if not self._prepared:
                await self._copies.create_index("order_id", unique=True, name="order")
                await self._copies.create_index(
                    "kept_at", name="kept", expireAfterSeconds=KEPT_SECONDS
                )
                self._prepared = True
            while True:
                kept = await self._copies.find_one({"order_id": order_id})
                if kept is not None:
                    return int(kept["copy"])
                above += 1
                try:
                    await self._copies.insert_one(
                        {
                            "_id": f"{request_id}/{document_id}/{above}",
                            "order_id": order_id,
                            "copy": above,
                            "kept_at": datetime.now(UTC),
                        }
                    )
                except DuplicateKey:
                    # Another order has this number, or this order has just got one elsewhere.
                    continue
                return above
