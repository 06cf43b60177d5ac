"""Delete personal data and files of old requests, which the store would otherwise keep for ever.

The skeleton of a swept request stays: item, branch, times and statuses without reasons, the digest
of its body and the codes of its sheets. An idempotency key may be repeated at any time, and a clerk
may verify a sheet years later: both must still be recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tongban_common.store import Store, store_errors
from tongban_common.store.updates import update_unordered
from tongban_intake.readmodel.projector import COLLECTION
from tongban_intake.readmodel.record import RequestRecord

_BATCH = 200
_REMOVED = ("notes", "messages", "orders", "commands", "applying")
DOCUMENTS = "documents"


@dataclass(slots=True)
class Swept:
    """Counts what one sweep has read and deleted."""

    looked_at: int = 0
    requests: int = 0
    documents: int = 0


async def sweep(
    store: Store,
    *,
    before: datetime,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Swept:
    """Sweep the requests that ended before `before`, in the order of their ids. Idempotent: the
    command may be interrupted at any point and repeated.

    Raises:
        StoreUnavailableError: what was swept stays swept.
    """
    done = Swept()
    collection = store.collection(COLLECTION)
    with store_errors():
        if not dry_run:
            await store.collection(DOCUMENTS).create_index("request_id", name="request")
        total = await collection.estimated_document_count()
        batch: list[RequestRecord] = []
        wanted = collection.find({"swept": None}, {"timeline": 1, "orders": 1}).sort("_id", 1)
        async for document in wanted:
            done.looked_at += 1
            record = RequestRecord(document)
            if is_over(record, before):
                batch.append(record)
            if len(batch) == _BATCH:
                await _sweep(store, batch, done, dry_run=dry_run)
                batch = []
                on_progress(done.looked_at, max(total, done.looked_at))
        await _sweep(store, batch, done, dry_run=dry_run)
    on_progress(total, total)
    return done


def is_over(record: RequestRecord, before: datetime) -> bool:
    """Return True if the request became final before `before` and no print order is open."""
    if not record.status.final or any(not order.status.final for order in record.orders):
        return False
    return datetime.fromisoformat(record.timeline[-1]["at"]) < before


async def _sweep(store: Store, records: list[RequestRecord], done: Swept, *, dry_run: bool) -> None:
    """Sweep these requests. Files are deleted first: after a crash in between, the next sweep finds
    the request again."""
    if not records:
        return
    ids = [record.request_id for record in records]
    documents = store.collection(DOCUMENTS)
    if dry_run:
        done.documents += await documents.count_documents({"request_id": {"$in": ids}})
    else:
        deleted = await documents.delete_many({"request_id": {"$in": ids}})
        done.documents += deleted.deleted_count
        updates = [{"q": {"_id": each.request_id}, "u": skeleton(each)} for each in records]
        await update_unordered(store.collection(COLLECTION), updates)
    done.requests += len(records)


def skeleton(record: RequestRecord) -> dict[str, Any]:
    """Return the MongoDB update that reduces a request to its skeleton."""
    timeline = {
        f"{line['seq']:06d}": {name: value for name, value in line.items() if name != "reason"}
        for line in record.timeline
    }
    return {
        "$set": {
            "timeline": timeline,
            "sealed.parts": {},
            "sealed.key": "",
            "applicant.pseudonym": "",
            "swept": True,
        },
        "$unset": dict.fromkeys(_REMOVED, ""),
    }
