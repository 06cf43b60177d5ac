"""Every status once and in order, whatever comes first: history or live."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.intake.readmodel.test_projection import BODIES, WHOLE, report, status
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.envelope import KeyRing
from tongban_intake.live.journal import EventJournal
from tongban_intake.readmodel.record import RequestRecord

KEYS = KeyRing("k", {"k": bytes(32)})


def told(frames: list[bytes]) -> list[tuple[str, Any]]:
    found = []
    for frame in frames:
        fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
        found.append((fields["event"], json.loads(fields["data"])))
    return found


def numbers(frames: list[bytes]) -> list[int]:
    return [data["seq"] for event, data in told(frames) if event == "status"]


@given(
    order=st.permutations([1, 2, 3, 4, 5, 6]),
    history_at=st.integers(0, 6),
    history_upto=st.integers(0, 6),
    last=st.integers(0, 6),
)
def test_no_gap_and_no_repeat(
    order: list[int], history_at: int, history_upto: int, last: int
) -> None:
    entries = {n: status(n, Status.ROUTED) for n in range(1, 7)}
    timeline = {
        f"{n:06d}": {"seq": n, "status": "routed", "at": "x", "by": "r"}
        for n in range(1, history_upto + 1)
    }
    journal = EventJournal(last, KEYS)
    frames: list[bytes] = []
    for position, number in enumerate(order):
        if position == history_at:
            journal.history(RequestRecord({"_id": "r", "timeline": timeline, "print": True}))
            frames += journal.take()
        journal.live(entries[number])
        journal.live(entries[number])
        frames += journal.take()
    assert numbers(frames) == list(range(last + 1, 7))
    assert not journal.blocked


def test_a_gap_that_cannot_be_filled_is_passed_over() -> None:
    journal = EventJournal(0, KEYS)
    journal.live(status(3, Status.ROUTED))
    assert journal.blocked
    assert journal.take() == []
    assert numbers(journal.take(over_gaps=True)) == [3]
    journal.live(status(2, Status.ROUTED))
    assert journal.take(over_gaps=True) == []


def test_print_states_are_streamed_as_they_change_and_never_backwards() -> None:
    journal = EventJournal(0, KEYS)
    journal.live(report(2, PrintStatus.PRINTED))
    journal.live(report(1, PrintStatus.QUEUED))
    assert [data["status"] for _, data in told(journal.take())] == ["printed"]
    assert journal.take() == []


def test_settled_waits_for_the_sheet() -> None:
    journal = EventJournal(0, KEYS)
    for body in BODIES[:4]:
        journal.live(body)
    assert not journal.final
    journal.take()
    assert journal.final
    assert not journal.settled
    journal.live(report(3, PrintStatus.PRINTED))
    assert journal.settled
    rejected = EventJournal(0, KEYS)
    rejected.live(status(1, Status.REJECTED))
    rejected.take()
    assert rejected.settled


def test_history_alone_tells_the_whole() -> None:
    journal = EventJournal(2, KEYS)
    journal.history(RequestRecord(WHOLE))
    events = told(journal.take())
    assert [(e, d.get("seq")) for e, d in events if e == "status"] == [("status", 3), ("status", 4)]
    assert {event for event, _ in events} == {"status", "print", "message"}
