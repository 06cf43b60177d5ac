"""The offset tracker against a model that is too simple to be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_kafka.offsets import OffsetTracker

_GAPS = st.lists(st.integers(1, 5), min_size=1, max_size=60)


def _offsets(first: int, gaps: list[int]) -> list[int]:
    offsets = [first]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    return offsets


@given(first=st.integers(0, 10**12), gaps=_GAPS, data=st.data())
def test_position_is_the_lowest_offset_that_is_not_done(
    first: int, gaps: list[int], data: st.DataObject
) -> None:
    offsets = _offsets(first, gaps)
    cut = data.draw(st.integers(0, len(offsets)))
    order = data.draw(st.permutations(offsets[:cut]))
    tracker = OffsetTracker()
    # Fetched in two parts, as polls do; the first part ends in any order.
    tracker.add(offsets[:cut])
    left = set(offsets[:cut])
    for offset in order:
        tracker.done(offset)
        left.remove(offset)
        assert tracker.position == min(left, default=offsets[cut - 1] + 1)
        assert tracker.unfinished == len(left)
        assert tracker.span == (offsets[cut - 1] + 1 - min(left) if left else 0)
    tracker.add(offsets[cut:])
    if cut < len(offsets):
        assert tracker.position == offsets[cut]
        assert tracker.span == offsets[-1] + 1 - offsets[cut]


@given(first=st.integers(0, 100), gaps=_GAPS, data=st.data())
def test_an_offset_ends_once(first: int, gaps: list[int], data: st.DataObject) -> None:
    offsets = _offsets(first, gaps)
    tracker = OffsetTracker()
    tracker.add(offsets)
    once = data.draw(st.sampled_from(offsets))
    tracker.done(once)
    with pytest.raises(ValueError, match="not open"):
        tracker.done(once)
    with pytest.raises(ValueError, match="not open"):
        tracker.done(offsets[-1] + 1)


def test_nothing_to_commit_before_the_beginning() -> None:
    tracker = OffsetTracker()
    assert tracker.position is None
    assert tracker.add([]) == 0
    assert tracker.position is None
    tracker.begin(7)
    assert (tracker.position, tracker.span, tracker.unfinished) == (7, 0, 0)


def test_records_that_are_no_longer_there_are_told() -> None:
    tracker = OffsetTracker()
    tracker.begin(7)
    assert tracker.add([7, 8]) == 0
    assert tracker.add([20, 21]) == 11


def test_records_come_in_rising_order() -> None:
    tracker = OffsetTracker()
    tracker.add([5, 6])
    with pytest.raises(ValueError, match="offset 6 after 6"):
        tracker.add([6, 7])


def test_holes_of_compaction_do_not_hold_the_prefix_back() -> None:
    tracker = OffsetTracker()
    tracker.add([3, 10, 11])
    tracker.done(3)
    assert tracker.position == 10
    tracker.done(11)
    tracker.done(10)
    assert tracker.position == 12


@given(
    old=st.integers(0, 10**9), gaps=_GAPS, new=st.integers(0, 10**9), fresh=_GAPS, data=st.data()
)
def test_begin_after_offsets_went_back_forgets_the_old_log(
    old: int, gaps: list[int], new: int, fresh: list[int], data: st.DataObject
) -> None:
    tracker = OffsetTracker()
    before = _offsets(old, gaps)
    tracker.add(before)
    for offset in data.draw(st.lists(st.sampled_from(before), unique=True)):
        tracker.done(offset)
    after = _offsets(new, fresh)
    assert tracker.goes_back(after[0]) == (after[0] <= before[-1])
    tracker.begin(after[0])
    assert (tracker.position, tracker.span, tracker.unfinished) == (after[0], 0, 0)
    assert tracker.add(after) == 0
    left = set(after)
    for offset in data.draw(st.permutations(after)):
        assert tracker.position == min(left)
        tracker.done(offset)
        left.remove(offset)
    assert tracker.position == after[-1] + 1


@given(first=st.integers(0, 10**9), gaps=_GAPS, skipped=st.integers(1, 10**6), data=st.data())
def test_skipped_offsets_behind_an_open_one_count_as_done(
    first: int, gaps: list[int], skipped: int, data: st.DataObject
) -> None:
    tracker = OffsetTracker()
    offsets = _offsets(first, gaps)
    tracker.add(offsets)
    after = offsets[-1] + skipped
    done = data.draw(st.lists(st.sampled_from(offsets), unique=True))
    for offset in done:
        tracker.done(offset)
    tracker.skip(after)
    tracker.skip(first)  # nothing to pass over
    left = sorted(set(offsets) - set(done))
    assert tracker.position == (left[0] if left else after)
    assert tracker.add([after]) == 0
    assert tracker.unfinished == len(left) + 1
