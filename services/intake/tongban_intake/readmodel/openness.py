"""What may still be going on under a wrapping key: asked before the key is destroyed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from tongban_common.store import Store, store_errors
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import OrderRecord, RequestRecord

_LONGEST_SILENCE = timedelta(days=30)
"""What documents.printed keeps, and longer than an order waits for its printer or for an answer."""
_FIELDS = {"timeline": 1, "orders": 1}


async def open_under(store: Store, kid: str, *, now: datetime) -> AsyncIterator[tuple[str, bool]]:
    """Id and openness of every request whose envelope that key closes: open while the request is
    not final, or a sheet of it is still to come. `now` is business time.

    Reads all of them: a command's work, not a request's.

    Raises:
        StoreUnavailableError
    """
    with store_errors():
        async for document in store.collection(COLLECTION).find({"sealed.kid": kid}, _FIELDS):
            record = RequestRecord(document)
            waiting = any(_still_to_come(order, now) for order in record.orders)
            yield record.request_id, not record.status.final or waiting


def _still_to_come(order: OrderRecord, now: datetime) -> bool:
    """Return whether a sheet may still be printed. An order that nobody has reported on for longer
    than printing keeps any is over, though its end was never heard: it must not keep the key."""
    heard = datetime.fromisoformat(order.line["at"])
    return not order.status.final and now - heard <= _LONGEST_SILENCE
