"""Tests that a person is told before typing of a province in trouble, from connectors' reports."""

from __future__ import annotations

from datetime import UTC, datetime

from tongban_common.control.connectors import HEARD_S, CircuitState, ConnectorState
from tongban_common.topics import CONNECTORS_STATE, REQUESTS_STATUS
from tongban_intake.live.provinces import ProvinceStates
from tongban_kafka import Record

ANHUI, SHANGHAI = "340000", "310000"


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def report(cause: str | None, instance: str = "c-0", topic: str = CONNECTORS_STATE) -> Record:
    state = ConnectorState(
        province=ANHUI, instance=instance, cause=cause, since=datetime(2026, 3, 2, tzinfo=UTC),
        circuit=CircuitState.OPEN if cause else CircuitState.CLOSED,
    )  # fmt: skip
    key, value = state.to_record()
    return Record(topic, 0, 0, 0, key, value, (), False, 0.0)


def told(states: ProvinceStates, province: str = ANHUI) -> str:
    text = states.trouble(province)
    return "" if text is None else text.zh


def test_province_that_nobody_reported_is_taken_to_work() -> None:
    assert told(ProvinceStates()) == ""


def test_trouble_is_told_of_its_own_province_and_ends_with_the_next_report() -> None:
    states = ProvinceStates()
    states.on_record(report("down"))
    assert "连不上" in told(states)
    assert told(states, SHANGHAI) == ""
    states.on_record(report("paused"))
    assert "暂停受理" in told(states)
    states.on_record(report(None))
    assert told(states) == ""


def test_closed_and_throttled_provinces_are_no_trouble_here() -> None:
    states = ProvinceStates()
    for cause in ("closed", "throttled", "of a later version"):
        states.on_record(report(cause))
        assert told(states) == ""


def test_one_connector_with_trouble_is_enough_for_another_may_have_had_no_call() -> None:
    states = ProvinceStates()
    states.on_record(report("down", "c-0"))
    states.on_record(report(None, "c-1"))
    assert "连不上" in told(states)
    states.on_record(report(None, "c-0"))
    assert told(states) == ""


def test_process_that_fell_silent_has_no_say() -> None:
    clock = Clock()
    states = ProvinceStates(clock)
    states.on_record(report("down", "c-0"))
    clock.at += HEARD_S / 2
    states.on_record(report(None, "c-1"))
    assert "连不上" in told(states)
    clock.at += HEARD_S / 2 + 1
    assert told(states) == ""


def test_other_records_are_passed_over() -> None:
    states = ProvinceStates()
    states.on_record(report("down", topic=REQUESTS_STATUS))
    states.on_record(report("down")._replace(value=None))
    states.on_record(report("down")._replace(value=b"{"))
    assert told(states) == ""
