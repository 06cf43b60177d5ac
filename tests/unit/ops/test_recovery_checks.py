"""Refuse what would make a recovery of the store dangerous, before it writes anything."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tongban_common import topics
from tongban_common.store import Store
from tongban_kafka import Snapshot
from tongban_ops.cli.console import progress
from tongban_ops.operators.recovery_checks import REPORTS, WrongTopicsError, check_topics


class FakeSnapshot:
    """A cluster with these end offsets by topic."""

    def __init__(self, **ends: int) -> None:
        self._ends = ends

    def exists(self, topic: str) -> bool:
        return topic in self._ends

    async def partitions(self, names: Any) -> list[tuple[str, int]]:
        return [(name, 0) for name in names]

    async def ends(self, places: Any) -> dict[tuple[str, int], int]:
        return {place: self._ends[place[0]] for place in places}


class FakeStore:
    """A store whose named collections have a document."""

    def __init__(self, *filled: str) -> None:
        self._filled = filled

    def collection(self, name: str) -> Any:
        filled = self._filled

        class Collection:
            async def find_one(self, *_: Any) -> Any:
                return {"_id": 1} if name in filled else None

        return Collection()


async def check(snapshot: FakeSnapshot, store: FakeStore) -> None:
    await check_topics(cast(Snapshot, snapshot), cast(Store, store))


async def test_recovery_from_a_cluster_without_the_topics_is_refused() -> None:
    with pytest.raises(WrongTopicsError, match="no topic"):
        await check(FakeSnapshot(**{topics.REQUESTS_STATUS: 5}), FakeStore())


async def test_recovery_from_empty_topics_is_refused_where_the_store_has_requests() -> None:
    empty = FakeSnapshot(**dict.fromkeys(REPORTS, 0))
    with pytest.raises(WrongTopicsError, match="the store has print_orders"):
        await check(empty, FakeStore("print_orders"))


async def test_recovery_of_an_empty_store_from_empty_topics_is_not_refused() -> None:
    """Asserts that the check returns: a new deployment has nothing to lose."""
    await check(FakeSnapshot(**dict.fromkeys(REPORTS, 0)), FakeStore())


async def test_recovery_from_topics_that_retention_emptied_is_not_refused() -> None:
    """Asserts that the check returns: the end offset shows that the topic had records."""
    used = FakeSnapshot(**{**dict.fromkeys(REPORTS, 0), topics.REQUESTS_STATUS: 7})
    await check(used, FakeStore("requests"))


def test_progress_without_a_terminal_prints_plain_lines_after_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("tongban_ops.cli.console.time.monotonic", lambda: clock[0])
    with progress("reading the topics") as report:
        for done in range(0, 120, 10):
            clock[0] += 1.0
            report(done, 120)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading the topics: 40 of 120", "reading the topics: 90 of 120"]
