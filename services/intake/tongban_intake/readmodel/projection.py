"""Turn events into changes of documents of the collection `requests`.

Pure, idempotent and independent of order: every event sets only fields named by its own key (a
number within the request, an order, a message), so that any replay, in any order, results in the
same document.

    _id           request id
    applying      `applying_key` of item and applicant while the request is open; then CLOSED
    notes         the notes of the submission, if any
    item, origin, applicant, submitted_at, print, body_digest, sealed    of the submission
    timeline      number -> {seq, at, status, by, reason?, private?, note?, expected_by?}; `private`
                  is a sealed reason, opened where it is shown (`private.in_words`)
    documents     document id -> {title, pages, sha256}
    codes         the verification codes of these documents
    orders        order id -> number -> {document_id, copy, kiosk_id, status, at, reason?}
    messages      reference -> status -> {template, channel, status, at, reason?}
    commands      command id -> {kind, event_id, at}
    rating        {grade, event_id, at}
    swept         true once only the skeleton is left (`sweep`)

Times are RFC 3339 texts: BSON would truncate them to milliseconds and drop their offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tongban_common.domain.status import PrintStatus
from tongban_common.domain.verification import file_code, sheet_code
from tongban_common.events import Body, Event
from tongban_common.events.models import (
    DocumentRef,
    DocumentStored,
    FeedbackRated,
    NotificationReported,
    PrintConfirmed,
    PrintOrdered,
    PrintReported,
    RequestStatus,
    SubmissionNote,
    SupplementHanded,
    WithdrawalAsked,
)
from tongban_common.private_texts import OF_ONE_EVENT, REASON, part_of
from tongban_intake.applicants import applying_key

Fields = dict[str, Any]

CLOSED = "~"
"""Sorts after every `applying_key`, so that `$max` yields the right value in any order of
events."""


@dataclass(slots=True)
class RecordChange:
    """Collects the changes to one document."""

    fields: Fields = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    applying: str = ""

    def update(self) -> dict[str, Any]:
        """Return an update for an upsert by MongoDB; empty where nothing changes."""
        update: dict[str, Any] = {}
        if self.fields:
            update["$set"] = self.fields
        if self.codes:
            update["$addToSet"] = {"codes": {"$each": sorted(self.codes)}}
        if self.applying:
            update["$max"] = {"applying": self.applying}
        return update


def changes(events: Iterable[Event[Body]]) -> dict[str, RecordChange]:
    """Return the change of each request that these events are about, by its id."""
    found: dict[str, RecordChange] = {}
    for event in events:
        change = found.setdefault(event.body.request_id, RecordChange())
        _apply(change, event)
    return {request_id: change for request_id, change in found.items() if change.update()}


def _apply(change: RecordChange, event: Event[Body]) -> None:
    match event.body:
        case RequestStatus() as body:
            change.fields.update(_status(body))
            change.applying = max(change.applying, _applying(body))
        case PrintReported() as body:
            change.fields[f"orders.{name(body.order_id)}.{numbered(body.seq)}"] = report(body)
            if body.document is not None:
                _document(change, body.document)
        case DocumentStored() as body:
            _document(change, body.document)
        case NotificationReported() as body:
            change.fields[f"messages.{name(body.reference)}.{body.status}"] = message(body)
        case PrintOrdered() as body:
            change.fields.update(_order(body))
            change.fields.update(_command("print", body.order_id, event))
        case PrintConfirmed() as body:
            change.fields.update(_confirmation(event.id, body))
        case SupplementHanded() as body:
            change.fields.update(_command("supplement", body.command_id, event))
        case WithdrawalAsked() as body:
            change.fields.update(_command("withdrawal", body.command_id, event))
        case FeedbackRated() as body:
            given = body.command_id or event.id  # an older version wrote no command_id
            rating = {"grade": body.grade, "event_id": given, "at": body.at.isoformat()}
            change.fields["rating"] = rating


def name(text: str) -> str:
    """Encode a text as a field name: dots, dollars and NUL have a meaning to MongoDB."""
    return quote(text, safe="~:@+ ").replace(".", "%2E")


def _applying(body: RequestStatus) -> str:
    """Return the value for `applying`: set by the first entry, CLOSED by the final one, else
    empty."""
    if body.status.final and not body.note:
        return CLOSED
    return applying_key(body.item.code, body.applicant.pseudonym) if body.seq == 1 else ""


def numbered(seq: int) -> str:
    """Encode a number as a field name that sorts like the number."""
    return f"{seq:06d}"


def notes(submission_notes: Iterable[SubmissionNote]) -> list[Fields]:
    """Return notes as they are stored."""
    return [note.model_dump(mode="json", exclude_none=True) for note in submission_notes]


def entry(body: RequestStatus) -> Fields:
    """Return a line of the timeline as it is stored: a free-text reason stays sealed."""
    line: Fields = {
        "seq": body.seq,
        "at": body.at.isoformat(),
        "status": body.status.value,
        "by": body.by,
    }
    if body.reason is not None:
        line["reason"] = body.reason
    if (box := part_of(body.sealed, REASON)) is not None:
        line["private"] = box
    if body.note:
        line["note"] = True
    if body.expected_by is not None:
        line["expected_by"] = body.expected_by.isoformat()
    return line


def _status(body: RequestStatus) -> Fields:
    notes_field = {} if body.notes is None else {"notes": notes(body.notes)}
    return {
        **notes_field,
        "item": body.item.model_dump(),
        "origin": body.origin.model_dump(),
        "applicant": body.applicant.model_dump(),
        "submitted_at": body.submitted_at.isoformat(),
        "print": body.print,
        "body_digest": body.body_digest,
        "sealed.kid": body.sealed.kid,
        "sealed.key": body.sealed.key,
        **{
            f"sealed.parts.{name(part)}": box
            for part, box in body.sealed.parts.items()
            if part not in OF_ONE_EVENT
        },
        f"timeline.{numbered(body.seq)}": entry(body),
    }


def report(body: PrintReported) -> Fields:
    """Return a report on a print order as it is stored and shown."""
    line: Fields = {
        "document_id": body.document.document_id if body.document else None,
        "copy": body.copy_number,
        "kiosk_id": body.kiosk_id,
        "status": body.status.value,
        "at": body.at.isoformat(),
    }
    if body.reason is not None:
        line["reason"] = body.reason
    return line


def _order(body: PrintOrdered) -> Fields:
    line = {
        "document_id": body.document_id,
        "copy": body.copy_number,
        "kiosk_id": body.kiosk_id,
        "status": PrintStatus.QUEUED.value,
        "at": body.at.isoformat(),
    }
    # Printing counts its reports from 1.
    return {f"orders.{name(body.order_id)}.{numbered(0)}": line}


def _confirmation(event_id: str, body: PrintConfirmed) -> Fields:
    answer = {"printed": body.printed, "event_id": event_id, "at": body.at.isoformat()}
    return {f"confirmations.{name(body.order_id)}.{numbered(body.seq)}": answer}


def _document(change: RecordChange, document: DocumentRef) -> None:
    shown = document.model_dump(include={"title", "pages", "sha256"})
    change.fields[f"documents.{name(document.document_id)}"] = shown
    change.codes |= {sheet_code(document.document_id), file_code(document.sha256)}


def message(body: NotificationReported) -> Fields:
    """Return a report on a message to the applicant as it is stored and shown."""
    line: Fields = {
        "template": body.template,
        "channel": body.channel,
        "status": body.status,
        "at": body.at.isoformat(),
    }
    if body.reason is not None:
        line["reason"] = body.reason
    return line


def _command(kind: str, command_id: str, event: Event[Any]) -> Fields:
    line = {"kind": kind, "event_id": event.id, "at": event.body.at.isoformat()}
    return {f"commands.{name(command_id)}": line}
