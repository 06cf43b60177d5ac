"""What the collector of cycles still goes through once a process has loaded what it keeps."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tongban_common.process import settle_heap


@pytest.fixture
def collector() -> Iterator[None]:
    was = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*was)


@pytest.mark.usefixtures("collector")
def test_frozen_heap_is_skipped_by_the_collector_and_later_cycles_are_found() -> None:
    kept = [[number] for number in range(10_000)]
    assert any(each is kept for each in gc.get_objects())
    settle_heap()
    assert not any(each is kept for each in gc.get_objects())
    assert gc.get_freeze_count() > len(kept)
    later: list[object] = []
    later.append(later)
    del later
    assert gc.collect() >= 1


@pytest.mark.usefixtures("collector")
def test_frozen_object_without_references_is_freed_without_the_collector() -> None:
    class Kept:
        gone = 0

        def __del__(self) -> None:
            Kept.gone += 1

    kept = [Kept() for _ in range(10)]
    settle_heap()
    kept.clear()
    assert Kept.gone == 10
