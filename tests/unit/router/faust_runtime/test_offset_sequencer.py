"""Records are handed on in order, whatever a client fetches before and after a seek."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tongban_router.faust_runtime.offsets import OffsetSequencer, OffsetVerdict

TAKEN = (OffsetVerdict.TAKE, OffsetVerdict.TAKE_OVER_HOLE)


def read(order: OffsetSequencer[str], log: list[int], stale: list[int]) -> list[int]:
    """Return the offsets handed on when stale records come first, and then those of the log."""
    taken: list[int] = []
    position = order.expected("p")
    pending = [*stale]
    for _ in range(10 * (len(log) + len(stale) + 1)):
        if not pending:
            pending = [offset for offset in log if offset >= position][:3]
            if not pending:
                return taken
            position = pending[-1] + 1
        offset = pending.pop(0)
        verdict = order.judge("p", offset)
        if verdict is OffsetVerdict.GO_BACK:
            position = order.expected("p")
        elif verdict in TAKEN:
            taken.append(offset)
    raise AssertionError(f"no end: {taken}")


@given(
    st.integers(0, 5),
    st.sets(st.integers(0, 12)),
    st.sets(st.integers(0, 12), min_size=1),
)
def test_nothing_is_passed_over_and_nothing_taken_twice(
    begin: int, fetched: set[int], offsets: set[int]
) -> None:
    log = sorted(offsets)
    order: OffsetSequencer[str] = OffsetSequencer()
    order.begin({"p": begin})
    stale = sorted(fetched & offsets)  # of one fetch, so each once and in order
    assert read(order, log, stale) == [offset for offset in log if offset >= begin]


def test_a_record_fetched_before_the_seek_is_fetched_again_in_its_turn() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    order.begin({"p": 0})
    verdicts = [order.judge("p", offset) for offset in (11, 12, 0, 1)]
    assert verdicts == [
        OffsetVerdict.GO_BACK,
        OffsetVerdict.DROP,
        OffsetVerdict.TAKE,
        OffsetVerdict.TAKE,
    ]


def test_gap_seen_twice_is_accepted() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    order.begin({"p": 3})
    verdicts = [order.judge("p", offset) for offset in (7, 8, 7, 8)]
    assert verdicts == [
        OffsetVerdict.GO_BACK,
        OffsetVerdict.DROP,
        OffsetVerdict.TAKE_OVER_HOLE,
        OffsetVerdict.TAKE,
    ]
    assert order.hole("p") == 3


def test_records_of_a_partition_are_dropped_before_it_was_sought() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    assert order.judge("p", 0) is OffsetVerdict.DROP
    order.begin({"p": 5})
    order.forget({"p"})
    assert order.judge("p", 5) is OffsetVerdict.DROP


def test_log_that_goes_back_without_a_seek_of_ours_is_detected() -> None:
    """The topic was created again: aiokafka resets to the beginning by itself."""
    order: OffsetSequencer[str] = OffsetSequencer()
    seek = order.begin({"p": 500})
    order.sought(seek, {"p": 500})
    order.fetch()
    assert order.judge("p", 500) is OffsetVerdict.TAKE
    order.fetch()
    assert order.judge("p", 0) is OffsetVerdict.WENT_BACK


def test_records_from_before_a_seek_are_stale_until_the_next_fetch() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    order.sought(order.begin({"p": 0}), {"p": 0})
    order.fetch()
    assert [order.judge("p", offset) for offset in (0, 1)] == [OffsetVerdict.TAKE] * 2
    seek = order.begin({"p": 40})  # another router had it meanwhile
    assert order.judge("p", 2) is OffsetVerdict.DROP
    order.sought(seek, {"p": 40})
    assert order.judge("p", 3) is OffsetVerdict.DROP  # of a fetch that began before
    order.fetch()
    assert order.judge("p", 40) is OffsetVerdict.TAKE
    assert order.judge("p", 4) is OffsetVerdict.WENT_BACK


def test_an_older_seek_that_ends_late_binds_nothing() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    old = order.begin({"p": 40})
    new = order.begin({"p": 10})
    order.sought(old, {"p": 40})
    order.fetch()
    assert order.judge("p", 10) is OffsetVerdict.TAKE
    order.sought(new, {"p": 10})
    order.fetch()
    assert order.judge("p", 10) is OffsetVerdict.DROP


def test_a_record_read_again_after_a_seek_of_ours_is_dropped() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    seek = order.begin({"p": 3})
    assert (
        order.judge("p", 3) is OffsetVerdict.TAKE
    )  # fetched before the seek, and next all the same
    order.sought(seek, {"p": 3})
    order.fetch()
    verdicts = [order.judge("p", offset) for offset in (3, 4)]
    assert verdicts == [OffsetVerdict.DROP, OffsetVerdict.TAKE]


def test_skipped_offsets_are_stepped_over() -> None:
    order: OffsetSequencer[str] = OffsetSequencer()
    order.sought(order.begin({"p": 3}), {"p": 3})
    order.fetch()
    assert order.judge("p", 3) is OffsetVerdict.TAKE
    order.skip("p", 4, 9)
    assert order.judge("p", 10) is OffsetVerdict.TAKE
