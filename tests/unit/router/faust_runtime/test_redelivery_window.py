"""Outputs of a record that another router may have read are marked as repeats, so that connectors
query the province first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.unit.router.domain.test_lifecycle import submitted
from tongban_common.events import Event, encode
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.offsets import GapDetector, Handover, RedeliveryWindow
from tongban_router.settings import RouterSettings

PLACE, OTHER = ("requests.submitted", 0), ("requests.submitted", 1)


def test_until_the_ends_are_known_whatever_comes_may_have_been_read() -> None:
    window = RedeliveryWindow()
    assignment = window.assign([PLACE])
    assert window.may_have_read(PLACE, 10**9)
    window.learn(assignment, {PLACE: 7})
    assert [window.may_have_read(PLACE, offset) for offset in (6, 7)] == [True, False]
    assert window.may_have_read(OTHER, 0), "nothing is known of an unassigned partition"


def test_partition_assigned_again_may_have_been_read_by_another_router() -> None:
    """Another may have read the partition although no assignment was without it: the group took
    this router for dead."""
    window = RedeliveryWindow()
    first = window.assign([PLACE])
    window.learn(first, {PLACE: 7})
    second = window.assign([PLACE])
    window.learn(first, {PLACE: 7})  # a late answer
    assert window.may_have_read(PLACE, 7)
    window.learn(second, {PLACE: 9})
    assert [window.may_have_read(PLACE, offset) for offset in (8, 9)] == [True, False]


def test_record_behind_what_was_handed_over_was_not_read() -> None:
    window = RedeliveryWindow()
    handover = Handover(window, GapDetector())
    assignment = window.assign([PLACE, OTHER])
    handover.take(assignment - 1, {OTHER: 0})  # of an assignment that is over
    handover.take(assignment, {PLACE: 5})
    window.learn(assignment, {PLACE: 9, OTHER: 9})
    assert [window.may_have_read(PLACE, offset) for offset in (4, 5)] == [True, False]
    assert window.may_have_read(OTHER, 8)


def test_handover_names_the_highest_offset_that_anyone_may_have_begun() -> None:
    window, gaps = RedeliveryWindow(), GapDetector()
    handover = Handover(window, gaps)
    assert handover.begun_to(PLACE, 3) is None
    assignment = window.assign([PLACE])
    assert handover.begun_to(PLACE, 3) is None, "the end offset is not known yet"
    window.learn(assignment, {PLACE: 7})
    assert handover.begun_to(PLACE, 3) == 7
    gaps.begin({PLACE: 3})
    for offset in range(3, 10):
        gaps.follow(PLACE, offset)
    assert handover.begun_to(PLACE, 3) == 10
    assert handover.begun_to(PLACE, 12) == 12


async def test_a_replay_after_its_request_was_forgotten_has_the_province_asked_first(
    tmp_path: Path,
) -> None:
    """The submission had been sent on before it was put aside; the table does not have it."""
    sent: list[tuple[str, bool]] = []

    async def emit(topic: str, _key: Any, _value: Any, headers: list[tuple[str, bytes]]) -> None:
        sent.append((topic, ("ce_repeat", b"true") in headers))

    handler = Router(RouterSettings(data=tmp_path)).handler
    handler.requests.table, handler._emit = {}, emit
    window = handler._redelivery_window
    window.learn(window.assign([PLACE]), {PLACE: 0})
    for repeat in (False, True):
        value, headers = encode(Event("e-1", "test", submitted(), submitted().submitted_at, repeat))
        message = SimpleNamespace(key=b"r-1", value=value, headers=headers, offset=0)
        await handler._apply(SimpleNamespace(message=message), PLACE, again=False)
        assert sent[-1] == ("province.340000.requests", repeat)
        handler.requests.table.clear()
