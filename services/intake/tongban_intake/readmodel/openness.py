"""Find the requests that still need a wrapping key, before an operator destroys it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from tongban_common.store import Store, store_errors
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import OrderRecord, RequestRecord

_LONGEST_SILENCE = timedelta(days=30)
"""The retention of documents.printed; no order waits longer for its printer or a confirmation."""
_FIELDS = {"timeline": 1, "orders": 1}


async def open_under(store: Store, kid: str, *, now: datetime) -> AsyncIterator[tuple[str, bool]]:
    """Yield the id of every request whose envelope is wrapped with this key, and True if it is
    open: the request is not final, or a sheet may still be printed.

    Reads all of these documents: for an operator's command, not for an HTTP request.

    Args:
        kid: id of the wrapping key.
        now: business time.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    with store_errors():
        async for document in store.collection(COLLECTION).find({"sealed.kid": kid}, _FIELDS):
            record = RequestRecord(document)
            waiting = any(_still_to_come(order, now) for order in record.orders)
            yield record.request_id, not record.status.final or waiting


def _still_to_come(order: OrderRecord, now: datetime) -> bool:
    """Return True if a sheet may still be printed. Printing keeps no order longer than
    `_LONGEST_SILENCE`: an order without a report for that long has ended, even if its end was never
    reported, and must not keep the key alive."""
    heard = datetime.fromisoformat(order.line["at"])
    return not order.status.final and now - heard <= _LONGEST_SILENCE
