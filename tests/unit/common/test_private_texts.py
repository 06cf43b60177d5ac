"""Sealed reasons: who opens them, and what is shown where they cannot be opened."""

from __future__ import annotations

import orjson
import pytest

from tests.unit.intake.readmodel.test_projection import SEALED, status
from tongban_common.domain.status import Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Event
from tongban_common.events.models import RequestStatus, Sealed
from tongban_common.keyring import Ring, WrappingKey
from tongban_common.private_texts import DESTROYED, NOT_NOW, REASON, reason_for_people, seal
from tongban_intake.api import view
from tongban_intake.live.journal import EventJournal
from tongban_intake.readmodel.projection import changes
from tongban_intake.readmodel.record import RequestRecord

KEYS = KeyRing("k", {"k": b"k" * 32})
WORDS = "申请人张三（110101199003078690）与公安库不一致"
ENVELOPE = KEYS.seal("r-1", {"applicant": {"name": "张三"}})
OWN = "省级平台不予办理"


def rejected(*, note: bool = False) -> RequestStatus:
    said = seal(KEYS, "r-1", ENVELOPE, reason=WORDS)
    assert said is not None
    sealed = ENVELOPE.model_copy(update={"parts": {**ENVELOPE.parts, **said.parts}})
    body = status(3, Status.REJECTED, note=note)
    return body.model_copy(update={"sealed": sealed, "reason": OWN})


def projected(*bodies: RequestStatus) -> RequestRecord:
    """What the store has of these events."""
    events = [Event(id=str(b.seq), source="t", body=b, time=b.at) for b in bodies]
    document: dict[str, object] = {"_id": "r-1"}
    for path, value in changes(events)["r-1"].fields.items():
        *steps, last = path.split(".")
        place = document
        for step in steps:
            place = place.setdefault(step, {})  # type: ignore[assignment]
        place[last] = value
    return RequestRecord(document)


def without(kid: str, *, destroyed: bool) -> KeyRing:
    at = status(1, Status.SUBMITTED).at
    other = WrappingKey(b"o" * 32, at)
    return KeyRing.of(Ring({"other": other}, {kid: at} if destroyed else {}))


def test_read_model_stores_a_reason_sealed() -> None:
    record = projected(rejected())
    assert WORDS not in str(record._document)
    assert "张三" not in str(record._document)
    assert REASON not in record.sealed.parts


def test_request_is_shown_with_the_words_opened() -> None:
    shown = view.full(projected(rejected()), KEYS, "zh")
    assert shown["reason"] == WORDS
    assert [line["reason"] for line in shown["timeline"]] == [WORDS]
    assert "private" not in str(shown)


def test_reason_of_a_note_is_opened_too() -> None:
    record = projected(status(1, Status.SUBMITTED), rejected(note=True))
    assert view.full(record, KEYS, "zh")["timeline"][1]["reason"] == WORDS


@pytest.mark.parametrize("source", ["history", "live"])
def test_stream_shows_the_words_opened(source: str) -> None:
    journal = EventJournal(2, KEYS)
    if source == "history":
        journal.history(projected(rejected()))
    else:
        journal.live(rejected())
    (frame,) = journal.take()
    data = orjson.loads(frame.split(b"data: ")[1])
    assert data["reason"] == WORDS
    assert "private" not in data


@pytest.mark.parametrize(("destroyed", "note"), [(True, DESTROYED), (False, NOT_NOW)])
def test_words_without_their_key_leave_a_placeholder(destroyed: bool, note: str) -> None:
    keys = without("k", destroyed=destroyed)
    assert view.full(projected(rejected()), keys, "zh")["reason"] == f"{OWN}；{note}"
    box = rejected().sealed.parts[REASON]
    assert reason_for_people(keys, "r-1", ENVELOPE, box, None) == note


def test_reason_of_an_older_event_is_shown_as_it_is() -> None:
    body = status(2, Status.REJECTED).model_copy(update={"reason": "不符合条件"})
    assert view.full(projected(body), KEYS, "zh")["reason"] == "不符合条件"


def test_words_of_another_request_are_not_opened() -> None:
    other = KEYS.seal("r-2", {"applicant": {}})
    box = seal(KEYS, "r-2", other, reason=WORDS)
    assert isinstance(box, Sealed)
    shown = reason_for_people(KEYS, "r-1", ENVELOPE, box.parts[REASON], OWN)
    assert shown == f"{OWN}；{NOT_NOW}"


def test_nothing_to_seal_makes_no_envelope() -> None:
    assert seal(KEYS, "r-1", SEALED, reason=None, receipt=None) is None
