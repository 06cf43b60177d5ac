"""Moments that come from a topic are bounded: nobody falls over "for ever"."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import typer

from tests.unit.router.domain.test_lifecycle import LIFE, RULES, START, begun, outcome
from tongban_common.control.provinces import ProvinceControl
from tongban_common.domain.moments import EARLIEST, LATEST, later
from tongban_common.domain.status import OutcomeKind, Status
from tongban_common.events.models import ProvinceOutcome, TimerDue
from tongban_ops.cli.provinces import _end
from tongban_router.domain.state import Call, RequestState, next_due

FOR_EVER = "9999-12-31T23:59:59+08:00"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (FOR_EVER, LATEST),
        ("9999-12-31T23:59:59-12:00", LATEST),
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("2026-03-02T09:00:00+08:00", START),
    ],
)
def test_a_moment_from_a_topic_is_bounded(text: str, read: datetime) -> None:
    assert TimerDue.model_validate({"request_id": "r", "due": text}).due == read


def test_a_pause_written_for_ever_is_bounded() -> None:
    control = ProvinceControl.model_validate_json(
        f'{{"province":"440000","paused":true,"by":"x","since":"{START.isoformat()}",'
        f'"until":"{FOR_EVER}"}}'
    )
    assert control.until == LATEST
    assert control.pauses(START)


def test_later_never_overflows() -> None:
    assert later(datetime.fromisoformat(FOR_EVER), timedelta(days=1)) == LATEST
    assert later(START, timedelta.max) == LATEST
    assert later(START, timedelta(hours=1)) == START + timedelta(hours=1)


def test_a_request_that_waits_for_ever_is_due_at_its_deadline() -> None:
    state, call_id = begun()
    body = ProvinceOutcome.model_validate_json(
        outcome(OutcomeKind.WAITING, call_id)
        .model_copy(update={"until": datetime.fromisoformat(FOR_EVER)})
        .model_dump_json()
    )
    decision = LIFE.apply(state, "o-1", body, now=START)
    assert decision.state is not None
    assert decision.state.status is Status.WAITING_FOR_PROVINCE
    assert next_due(decision.state, RULES) == decision.state.request.deadline


def test_a_state_that_was_written_with_such_a_moment_can_be_read() -> None:
    """A router of an earlier version may have left it in the table."""
    state, _ = begun()
    call = Call.model_validate({**state.calls[0].model_dump(), "waits_until": FOR_EVER})
    kept = state.model_copy(update={"calls": [call]}).model_dump_json()
    found = RequestState.model_validate_json(kept)
    assert next_due(found, RULES) == found.request.deadline


@pytest.mark.parametrize(
    ("until", "lasting"), [(FOR_EVER, None), (None, "400d"), (None, "9999999999999999d")]
)
def test_a_pause_of_more_than_a_year_is_refused(until: str | None, lasting: str | None) -> None:
    with pytest.raises(typer.BadParameter, match="a year at most"):
        _end(until, lasting, START)


def test_a_pause_without_an_end_has_none() -> None:
    assert _end(None, None, START) is None
    assert _end(None, "2h", START) == START + timedelta(hours=2)
