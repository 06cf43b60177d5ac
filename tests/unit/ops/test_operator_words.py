"""Operators' words in `--reason` leave their machine sealed, or from a list, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.ops.test_operators import NOW, dead
from tests.unit.router.domain.test_lifecycle import submitted
from tongban_common.control.provinces import PAUSE_REASONS, ProvinceControl
from tongban_common.envelope import KeyRing
from tongban_common.events import decode
from tongban_common.events.models import OperatorDecision
from tongban_common.private_texts import REASON
from tongban_common.settings import CommonSettings
from tongban_ops.operators.reasons import (
    ENDED,
    RESUMED,
    about_record,
    about_request,
    key_ring_of,
)
from tongban_ops.operators.record_view import letter_summary
from tongban_ops.operators.replay_execution import settle
from tongban_ops.operators.replays import Operator, Outgoing, decision, plan
from tongban_ops.operators.settlements import DeadLetterSettled, Settlement

KEYS = KeyRing("k", {"k": b"k" * 32})
OTHER = KeyRing("other", {"other": b"o" * 32})
WORDS = "张三（110101199003078690，一三八零零零零一二三四）已到窗口"
ENVELOPE = KEYS.seal("r-1", {"applicant": {"name": "张三"}})


def read(record: Outgoing) -> OperatorDecision:
    _, _, value, headers = record
    body = decode(value, headers).body
    assert isinstance(body, OperatorDecision)
    return body


@pytest.mark.parametrize(("what", "own"), [("resume", RESUMED), ("fail", ENDED)])
def test_words_about_a_request_are_sealed_under_its_key(what: Any, own: str) -> None:
    operator = Operator(by="li", at=NOW, reason=WORDS, keys=KEYS)
    record = decision("r-1", what, operator, "name", ENVELOPE)
    assert "张三".encode() not in (record[2] or b"")
    body = read(record)
    assert body.reason == own
    assert body.sealed is not None
    assert KEYS.open("r-1", body.sealed, REASON) == WORDS
    assert set(body.sealed.parts) == {REASON}


@pytest.mark.parametrize("keys", [None, OTHER])
def test_words_stay_at_home_without_the_key(keys: KeyRing | None) -> None:
    operator = Operator(by="li", at=NOW, reason=WORDS, keys=keys)
    body = read(decision("r-1", "fail", operator, "name", ENVELOPE))
    assert (body.reason, body.sealed) == (ENDED, None)
    assert about_request(WORDS, keys, "r-1", ENVELOPE).withheld


def test_listed_reason_stays_in_clear_without_a_key() -> None:
    operator = Operator(by="li", at=NOW, reason="请到窗口办理")
    body = read(decision("r-1", "fail", operator, "name", ENVELOPE))
    assert (body.reason, body.sealed) == ("请到窗口办理", None)


@pytest.mark.parametrize("keys", [None, KEYS])
def test_replay_and_its_mark_name_nobody(keys: KeyRing | None) -> None:
    operator = Operator(by="li", at=NOW, reason=WORDS, keys=keys)
    (replay,), _ = plan([dead("tongban-router", "requests.submitted", submitted())], operator)
    # The letter's envelope is not under this ring: it cannot be sealed for the request.
    assert replay.withheld
    assert replay.records
    assert all("张三".encode() not in (record[2] or b"") for record in replay.records)


async def test_mark_of_a_dead_letter_is_sealed_and_shown_sealed() -> None:
    class Producer:
        sent: bytes = b""

        async def send(self, _topic: str, *, value: bytes, **_: Any) -> None:
            self.sent = value

    producer = Producer()
    given_up = dead("printing", "requests.completed", None)
    operator = Operator(by="li", at=NOW, reason=WORDS, keys=KEYS)
    await settle(producer, [given_up], Settlement.DISCARDED, operator)  # type: ignore[arg-type]
    assert "张三".encode() not in producer.sent
    marked = DeadLetterSettled.from_record(producer.sent)
    assert marked.sealed is not None
    assert KEYS.open(f"control.deadletters/{given_up.id}", marked.sealed, REASON) == WORDS
    shown = letter_summary(replace(given_up, settled=marked))
    assert shown["settled"]["sealed"]["parts"][REASON].startswith("sealed, ")


def test_words_of_a_pause_are_sealed_unless_listed() -> None:
    control = ProvinceControl(province="510000", paused=True, by="li", since=datetime.now(UTC))
    said = about_record(WORDS, KEYS, control.bound_to, PAUSE_REASONS)
    assert said.clear is None
    assert said.sealed is not None
    assert KEYS.open(control.bound_to, said.sealed, REASON) == WORDS
    assert about_record(WORDS, None, control.bound_to, PAUSE_REASONS).withheld
    assert about_record("系统升级", None, control.bound_to, PAUSE_REASONS).clear == "系统升级"
    nothing = about_record("", None, control.bound_to, PAUSE_REASONS)
    assert (nothing.clear, nothing.sealed, nothing.withheld) == (None, None, False)


def test_public_default_ring_seals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONGBAN_KEYRING", raising=False)
    assert key_ring_of(CommonSettings()) is None
    monkeypatch.setenv("TONGBAN_KEYRING", '{"active": "k", "keys": {"k": "' + "B" * 43 + '"}}')
    assert key_ring_of(CommonSettings()) is not None
