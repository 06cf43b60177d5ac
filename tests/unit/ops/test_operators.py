"""What operators' commands mean: which dead letters are meant, what a replay writes, what shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.unit.router.domain.test_lifecycle import outcome, submitted
from tongban_common import faultpoints
from tongban_common.clock import CHINA
from tongban_common.control.provinces import ProvinceControl
from tongban_common.domain.ids import request_id
from tongban_common.domain.status import OutcomeKind
from tongban_common.events import Body, Event, decode, encode
from tongban_common.events.models import OperatorDecision, RequestSubmitted, WithdrawalAsked
from tongban_kafka import Cause, Poison, Record, dead_letter_headers, dead_letter_value
from tongban_ops.operators.dead_letters import (
    DeadLetter,
    DeadLetterSelection,
    letter_id,
    place_of,
    read_letter,
)
from tongban_ops.operators.record_view import hexdump, letter_details
from tongban_ops.operators.replays import Operator, of_decision, plan
from tongban_ops.operators.settlements import DeadLetterSettled, Settlement
from tongban_ops.operators.trace import describe

NOW = datetime(2026, 3, 2, 9, tzinfo=CHINA)
LI = Operator(by="li", at=NOW)
REQUEST = request_id("s", kiosk_id="k", branch_id="b", key="key-0001")
WITHDRAWAL = WithdrawalAsked(request_id="r-1", command_id="w", at=NOW, by="k")


def dead(
    group: str, source: str, body: Body | None, *, offset: int = 0, cause: str = "no such item"
) -> DeadLetter:
    """As a worker of that group would have written it."""
    value, headers = (b"\x00garbage", [])
    if body is not None:
        value, headers = encode(Event(f"e-{offset}", "test", body, NOW))
    key = body.request_id.encode() if body else REQUEST.encode()
    record = Record(source, 3, 7, 1, key, value, tuple(headers), False, 0.0)
    story = dead_letter_headers(group, record, Cause.of(Poison(cause), record, 1_772_413_200.0))
    return read_letter(
        record._replace(
            topic=f"{group}.dlt", partition=0, offset=offset, headers=tuple(story), timestamp_ms=5
        )
    )


def kinds(letters: list[DeadLetter]) -> list[tuple[str, type[Body], bool]]:
    """What a replay of these writes: topic, event, and whether it is marked as a repeat."""
    replays, refused = plan(letters, LI)
    assert not refused
    written = []
    for replay in replays:
        for topic, key, value, headers in replay.records:
            event = decode(value, headers)
            assert key == event.key
            assert not any(name.startswith("dlt_") for name, _ in headers)
            written.append((topic, type(event.body), event.repeat))
    return written


DECISION = ("requests.commands", OperatorDecision, False)


def test_a_held_call_and_a_lost_word_of_a_province_go_on_by_one_decision() -> None:
    completed = outcome(OutcomeKind.COMPLETED, "c-1")
    stale = [
        dead("connectors-340000", "province.340000.requests", completed, offset=1),
        dead("tongban-router", "requests.outcomes", completed, offset=2),
    ]
    assert kinds(stale) == [DECISION]
    assert kinds([dead("tongban-router", "requests.outcomes", None)]) == [DECISION]


def test_submission_and_withdrawal_are_replayed_as_themselves() -> None:
    assert kinds([dead("tongban-router", "requests.submitted", submitted())]) == [
        ("requests.submitted", RequestSubmitted, True),
        DECISION,
    ]
    assert kinds([dead("tongban-router", "requests.commands", WITHDRAWAL)]) == [
        DECISION,
        ("requests.commands", WithdrawalAsked, True),
    ]


def test_other_groups_get_theirs_alone_and_marked() -> None:
    letter = dead("printing", "requests.completed", submitted(), offset=17)
    assert kinds([letter]) == [("printing.replay", RequestSubmitted, True)]
    (replay,), _ = plan([letter], LI)
    headers = dict(replay.records[0][3])
    assert (headers["ce_id"], headers["replay_of"]) == (b"e-17", b"printing@17")


def test_unreadable_dead_letter_is_not_replayed() -> None:
    nobody = dead("connectors-340000", "province.340000.requests", None)
    nobody = read_letter(nobody.record._replace(key=b"nobody"))
    _, refused = plan([nobody, dead("printing", "requests.completed", None)], LI)
    assert [no.why.split(" (")[0] for no in refused] == [
        "no request id can be read from it",
        "it cannot be decoded and would come back",
    ]


def test_dead_letters_of_two_groups_for_one_command_are_one_decision() -> None:
    """The router and the read model both read commands: one decision about the request is all."""
    held = dead("tongban-router", "requests.commands", None)
    beside = dead("readmodel", "requests.commands", None, offset=5)
    another = dead("readmodel", "print.orders", None, offset=6)
    (replay,), refused = plan([beside, held, another], LI)
    assert replay.letters == [held, beside]
    assert len(replay.records) == 1
    assert [no.letter for no in refused] == [another]
    assert of_decision([beside, held, another]) == [beside, held]
    assert of_decision([beside]) == []


def test_a_replay_has_the_same_id_until_it_was_settled() -> None:
    letter = dead("connectors-340000", "province.340000.requests", outcome(OutcomeKind.HELD, "c"))
    marker = DeadLetterSettled(
        id=letter.id, settlement=Settlement.REPLAYED, at=NOW, by="li", times=1
    )

    def event_id(of: DeadLetter) -> bytes:
        (replay,), _ = plan([of], LI)
        return dict(replay.records[0][3])["ce_id"]

    assert event_id(letter) == event_id(letter)
    assert event_id(letter) != event_id(replace(letter, settled=marker))
    assert DeadLetterSettled.from_record(marker.to_record()[1]) == marker


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (DeadLetterSelection(), True),
        (DeadLetterSelection(ids=["printing@4"]), True),
        (DeadLetterSelection(ids=["printing@5"]), False),
        (DeadLetterSelection(cause="SUCH ITEM"), True),
        (DeadLetterSelection(cause="poison"), True),
        (DeadLetterSelection(cause="other"), False),
        (DeadLetterSelection(sources=["requests.completed"]), True),
        (DeadLetterSelection(sources=["print.orders"]), False),
        (DeadLetterSelection(request="r-1"), True),
        (DeadLetterSelection(request="r-2"), False),
    ],
)
def test_dead_letters_are_chosen(wanted: DeadLetterSelection, meant: bool) -> None:
    letter = dead("printing", "requests.completed", submitted(), offset=4)
    assert wanted.matches(letter) is meant
    at = datetime.fromtimestamp(letter.failed_ms / 1000, CHINA)
    assert DeadLetterSelection(since=at).matches(letter)
    assert not DeadLetterSelection(until=at).matches(letter)
    assert not DeadLetterSelection(since=at + timedelta(seconds=1)).matches(letter)


def test_an_id_names_a_place() -> None:
    letter = dead("printing", "requests.completed", None, offset=17)
    assert letter_id(letter.record) == "printing@17"
    assert place_of("printing@17") == (("printing.dlt", 0), 17)
    moved = letter.record._replace(partition=2)
    assert place_of(letter_id(moved)) == (("printing.dlt", 2), 17)
    for wrong in ("printing", "printing@", "@1", "printing@x", "printing/x@1"):
        with pytest.raises(ValueError, match="looks like"):
            place_of(wrong)


def test_sealed_fields_stay_sealed_and_shown_poison_is_bounded() -> None:
    shown = letter_details(dead("printing", "requests.completed", submitted()))
    assert shown["event"]["sealed"] == {
        "kid": "k",
        "parts": {"applicant": "sealed, 1 characters", "form": "sealed, 1 characters"},
    }
    assert shown["place"] == "requests.completed/3@7"
    poison = letter_details(dead("printing", "requests.completed", None))
    assert poison["raw"] == ["00000000  00 67 61 72 62 61 67 65" + " " * 26 + ".garbage"]
    assert len(list(hexdump(b"x" * 10_000))) == 33
    letter = dead("printing", "requests.completed", None, offset=2)
    assert describe(letter.record, None).startswith(
        "dead letter printing@2 from requests.completed"
    )


def test_a_record_of_nothing_can_be_put_aside() -> None:
    nothing = Record("t", 0, 0, 0, None, None, (), False, 0.0)
    assert dead_letter_value(nothing) == b""
    assert dead_letter_value(nothing._replace(key=b"k")) is None


def test_a_pause_ends_by_itself() -> None:
    control = ProvinceControl(
        province="510000", paused=True, by="li", since=NOW, until=NOW + timedelta(hours=1)
    )
    assert ProvinceControl.from_record(control.to_record()[1]) == control
    assert control.pauses(NOW)
    assert not control.pauses(NOW + timedelta(hours=1))
    assert control.model_copy(update={"until": None}).pauses(NOW + timedelta(days=99))


def test_faults_are_injected_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    points = faultpoints._parse("a:2!2")
    monkeypatch.setattr(faultpoints, "_points", points)
    faults = 0
    for _ in range(6):
        try:
            faultpoints.reached("a")
        except faultpoints.InjectedFaultError:
            faults += 1
    assert faults == 2
    with pytest.raises(ValueError, match="NAME"):
        faultpoints._parse("a:2!x")
