"""Outputs of a record that another router may have read are marked as repeats, so that connectors
query the province first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.unit.router.domain.test_lifecycle import submitted
from tongban_common.events import Event, encode
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.offsets import RedeliveryWindow
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
