"""Build the body of `GET /v1/requests/{id}` (docs/contract.md)."""

from __future__ import annotations

from typing import Any

import structlog

from tongban_common.domain.status import Status
from tongban_common.envelope import KeyRing, UnreadableEnvelopeError
from tongban_intake.readmodel.record import OrderRecord, RequestRecord, in_words
from tongban_intake.submission.notes import words
from tongban_intake.submission.repeats import Seen
from tongban_intake.text import Language

log = structlog.get_logger(__name__)

Body = dict[str, Any]


def full(record: RequestRecord, keys: KeyRing, language: Language) -> Body:
    """Return the body for a projected request, with its sealed result opened."""
    item = record.item
    timeline = [in_words(line, record, keys) for line in record.timeline]
    last = [line for line in timeline if not line.get("note")][-1]
    body: Body = {
        "request_id": record.request_id,
        "item_code": item.code,
        "item_name": item.name,
        "item_version": item.version,
        "province": item.province,
        "channel": record.origin.channel,
        "status": record.status.value,
        "submitted_at": record.submitted_at,
        "updated_at": record.timeline[-1]["at"],
        "notes": words(record.notes, language),
        "timeline": timeline,
        "documents": documents(record),
        "print": record.print,
        "print_orders": [order(each) for each in record.orders],
        "messages": record.messages,
    }
    for field in ("reason", "expected_by"):
        if field in last:
            body[field] = last[field]
    if record.swept or keys.destroyed(record.sealed):
        body["personal_data"] = "destroyed"
    if record.status is Status.COMPLETED and (result := _result(record, keys)) is not None:
        body["outcome"] = result
    if record.rating is not None:
        body["rating"] = record.rating["grade"]
    return body


def not_projected(request_id: str, seen: Seen | None, language: Language) -> Body:
    """Return the body for an accepted request that the read model does not have yet, or while the
    store is down."""
    submitted_at = seen.submitted_at if seen else None
    return {
        "request_id": request_id,
        "item_code": seen.item_code if seen else None,
        "item_name": None,
        "province": seen.item_code[:6] if seen and seen.item_code else None,
        "status": Status.SUBMITTED.value,
        "submitted_at": submitted_at,
        "updated_at": submitted_at,
        "notes": words(seen.notes, language) if seen else [],
        "timeline": [],
        "documents": [],
        "print_orders": [],
        "messages": [],
        "delayed": True,
    }


def documents(record: RequestRecord) -> list[Body]:
    """Return the documents that can be fetched, by id."""
    return [
        {"document_id": document_id, **fields}
        for document_id, fields in sorted(record.documents.items())
        if not record.swept
    ]


def order(each: OrderRecord) -> Body:
    """Return a print order."""
    return {"order_id": each.order_id, **each.line}


def _result(record: RequestRecord, keys: KeyRing) -> Any:
    sealed = record.sealed
    if "result" not in sealed.parts:
        return None
    try:
        return keys.open(record.request_id, sealed, "result")
    except UnreadableEnvelopeError as error:
        # The key is destroyed, or has not reached this replica yet: answer with the rest.
        log.info("result_unreadable", why=type(error).__name__)
        return None
