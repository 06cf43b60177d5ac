"""What may still be going on under a wrapping key: asked before the key is destroyed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tongban_common.store import Store, store_errors
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import RequestRecord

_FIELDS = {"timeline": 1, "orders": 1}


async def open_under(store: Store, kid: str) -> AsyncIterator[tuple[str, bool]]:
    """Id and openness of every request whose envelope that key closes: open while the request is
    not final, or a sheet of it is still to come.

    Reads all of them: a command's work, not a request's.

    Raises:
        StoreUnavailable
    """
    with store_errors():
        async for document in store.collection(COLLECTION).find({"sealed.kid": kid}, _FIELDS):
            record = RequestRecord(document)
            waiting = any(not order.status.final for order in record.orders)
            yield record.request_id, not record.status.final or waiting
