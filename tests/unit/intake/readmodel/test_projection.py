"""The read model ends in the same document whatever is repeated or reordered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events import Body, Event
from tongban_common.events.models import (
    ApplicantFacts,
    DocumentRef,
    DocumentStored,
    FeedbackRated,
    ItemSnapshot,
    NotificationReported,
    Origin,
    PrintOrdered,
    PrintReported,
    RequestStatus,
    Sealed,
    SubmissionNote,
    SupplementHanded,
    WithdrawalAsked,
)
from tongban_intake.applicants import applying_key
from tongban_intake.readmodel.projection import CLOSED, changes, name
from tongban_intake.readmodel.record import RequestRecord

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
ITEM = ItemSnapshot(
    code="1", version=1, name="n", category="c", province="310000", kind="print", promised_days=0
)
ORIGIN = Origin(kiosk_id="k", branch_id="b", channel="self_service")
FACTS = ApplicantFacts(type="person", pseudonym="p")
DOCUMENT = DocumentRef(document_id="d.$1", title="t", pages=1, sha256="ab" * 32)
SEALED = Sealed(kid="k", key="key", parts={"applicant": "a", "form": "f"})


def status(seq: int, value: Status, *, note: bool = False, **parts: str) -> RequestStatus:
    return RequestStatus(
        request_id="r-1",
        seq=seq,
        status=value,
        at=AT + timedelta(seconds=seq),
        by="router",
        note=note,
        item=ITEM,
        origin=ORIGIN,
        applicant=FACTS,
        submitted_at=AT,
        print=True,
        body_digest="digest",
        notes=[SubmissionNote(code="outside_hours", opens_at=AT)] if seq == 1 else None,
        sealed=SEALED.model_copy(update={"parts": {**SEALED.parts, **parts}}),
    )


def report(seq: int, value: PrintStatus) -> PrintReported:
    return PrintReported(
        request_id="r-1",
        order_id="o.1",
        document=DOCUMENT,
        kiosk_id="k",
        branch_id="b",
        copy_number=1,
        status=value,
        seq=seq,
        at=AT + timedelta(minutes=seq),
    )


def message(value: str) -> NotificationReported:
    return NotificationReported(
        request_id="r-1",
        reference="m.1",
        template="completed",
        channel="sms",
        status=value,  # type: ignore[arg-type]
        provider=None,
        at=AT,
    )


BODIES: list[Body] = [
    status(1, Status.SUBMITTED),
    status(2, Status.ROUTED),
    status(3, Status.ROUTED, note=True),
    status(4, Status.COMPLETED, result="r"),
    report(1, PrintStatus.QUEUED),
    report(2, PrintStatus.WAITING_FOR_PRINTER),
    report(3, PrintStatus.PRINTED),
    DocumentStored(request_id="r-1", document=DOCUMENT, at=AT),
    message("held"),
    message("sent"),
    SupplementHanded(request_id="r-1", command_id="c1", at=AT, by="k", sealed=SEALED),
    WithdrawalAsked(request_id="r-1", command_id="c2", at=AT, by="k"),
    PrintOrdered(
        request_id="r-1",
        order_id="o2",
        document_id="d.$1",
        kiosk_id="k",
        copy_number=2,
        at=AT,
        by="k",
    ),
    FeedbackRated(
        request_id="r-1", grade=5, at=AT, item_code="1", province="310000", branch_id="b"
    ),
]
EVENTS = [Event(f"e{index}", "test", body, AT) for index, body in enumerate(BODIES)]


def stored(batches: list[list[Event[Any]]]) -> dict[str, Any]:
    """What MongoDB would hold: $set by path, $addToSet into a sorted list."""
    document: dict[str, Any] = {"_id": "r-1"}
    for batch in batches:
        for change in changes(batch).values():
            update = change.update()
            for path, value in update.get("$set", {}).items():
                *parents, last = path.split(".")
                place = document
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = value
            if applying := update.get("$max", {}).get("applying"):
                document["applying"] = max(applying, document.get("applying", ""))
            codes = update.get("$addToSet", {}).get("codes", {}).get("$each", [])
            if codes:
                document["codes"] = sorted({*document.get("codes", []), *codes})
    return document


WHOLE = stored([EVENTS])


@settings(max_examples=150)
@given(
    order=st.permutations(range(len(EVENTS))),
    repeats=st.lists(st.integers(0, len(EVENTS) - 1), max_size=10),
    size=st.integers(1, 8),
)
def test_order_and_repeats_do_not_matter(order: list[int], repeats: list[int], size: int) -> None:
    told = [EVENTS[index] for index in [*order, *repeats]]
    batches = [told[start : start + size] for start in range(0, len(told), size)]
    assert stored(batches) == WHOLE


def test_the_record_reads_what_was_projected() -> None:
    record = RequestRecord(WHOLE)
    assert record.status is Status.COMPLETED
    assert [line["seq"] for line in record.timeline] == [1, 2, 3, 4]
    assert list(record.documents) == ["d.$1"]
    # Oldest first: the reprint was heard of before the first print was.
    second, first = record.orders
    assert (first.order_id, first.status) == ("o.1", PrintStatus.PRINTED)
    assert (second.order_id, second.line["copy"]) == ("o2", 2)
    assert [line["status"] for line in record.messages] == ["sent"]
    assert record.command("c1") == {"kind": "supplement", "event_id": "e10", "at": AT.isoformat()}
    assert record.rating is not None
    assert [note.code for note in record.notes] == ["outside_hours"]
    assert WHOLE["applying"] == CLOSED
    assert set(record.sealed.parts) == {"applicant", "form", "result"}


def test_a_note_leaves_the_status() -> None:
    noted = stored([[Event("a", "t", status(1, Status.ROUTED), AT)], [EVENTS[2]]])
    assert RequestRecord(noted).status is Status.ROUTED
    assert noted["applying"] == applying_key("1", "p")
    assert RequestRecord(stored([[EVENTS[4]]])).projected is False


@given(st.text(min_size=1, max_size=40))
def test_names_are_safe_in_a_path(text: str) -> None:
    safe = name(text.encode("utf-8", "replace").decode())
    assert not set(safe) & {".", "$", "\0"}
