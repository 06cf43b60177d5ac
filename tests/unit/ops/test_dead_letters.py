"""What goes into a dead letter, and how many there may be."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tongban_kafka import (
    Cause,
    DeadLetterLimit,
    LimitWindow,
    Poison,
    Record,
    RetryPolicy,
    dead_letter_forms,
    dead_letter_headers,
)
from tongban_ops.operators.dead_letters import read_letter

SECRET = "张三 310101199001011234"


def _record(**changes: object) -> Record:
    record = Record("t", 3, 42, 1_700_000_000_000, b"k", b"v", (("ce_id", b"1"),), False, 0.0)
    return record._replace(**changes)


def _cause(error: Exception) -> Cause:
    try:
        raise error
    except Exception as raised:
        return Cause.of(raised, _record(attempt=6), time.time() - 5)


def test_a_cause_quotes_no_exception() -> None:
    cause = _cause(ValueError(f"bad form: {SECRET}"))
    headers = dead_letter_headers("g", _record(), cause)
    assert SECRET not in repr(cause)
    assert not any(SECRET.encode() in value for _, value in headers)
    assert cause.exception == "builtins.ValueError"
    assert cause.where.startswith("test_dead_letters.py:")
    assert cause.attempts == 6


def test_dead_letter_names_its_cause_and_the_exception_behind_it() -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise Poison("not a known item") from error
    except Poison as poison:
        cause = Cause.of(poison, _record(), time.time())
    assert (cause.reason, cause.exception) == ("not a known item", "builtins.KeyError")


def test_oversized_dead_letter_is_written_with_less_of_its_record() -> None:
    record = _record(value=b"x" * 500, headers=(("ce_id", b"1"), ("large", b"y" * 500)))
    whole, without_value, bare = dead_letter_forms("g", record, _cause(Poison("no event")))
    assert whole[:2] == (b"k", record.value)
    assert without_value[:2] == (b"k", b"")
    assert without_value[2] == [*whole[2], ("dlt_value_bytes", b"500")]
    assert bare[:2] == (None, b"")
    assert all(name.startswith("dlt_") for name, _ in bare[2])
    letter = read_letter(record._replace(key=bare[0], value=bare[1], headers=tuple(bare[2])))
    assert letter.place == "t/3@42"
    assert letter.fault is not None
    assert "500 bytes" in letter.fault


def test_headers_keep_the_originals_and_say_whence() -> None:
    again = _record(headers=(("ce_id", b"1"), ("dlt_offset", b"7"), ("traceparent", b"00-1")))
    headers = dead_letter_headers("printing", again, _cause(Poison("no such kiosk")))
    assert headers[:2] == [("ce_id", b"1"), ("traceparent", b"00-1")]
    told = dict(headers[2:])
    assert len(told) == len(headers) - 2
    assert told["dlt_group"] == b"printing"
    assert told["dlt_topic"] == b"t"
    assert told["dlt_partition"] == b"3"
    assert told["dlt_offset"] == b"42"
    assert told["dlt_timestamp_ms"] == b"1700000000000"
    assert told["dlt_reason"] == b"no such kiosk"
    assert int(told["dlt_first_failed_ms"]) < int(told["dlt_last_failed_ms"])


def test_limit_counts_in_a_sliding_window() -> None:
    window = LimitWindow(DeadLetterLimit(max_count=3, ratio_from=100, window=60.0))
    assert [window.admit(at) for at in (0.0, 10.0, 20.0, 30.0)] == [True, True, True, False]
    assert window.admit(60.5)  # the first one has left the window
    assert not window.admit(61.0)


def test_limit_is_a_share_too_once_there_are_enough() -> None:
    limit = DeadLetterLimit(max_count=1000, max_ratio=0.5, ratio_from=10, window=60.0)
    alone = LimitWindow(limit)
    assert [alone.admit(1.0) for _ in range(10)] == [True] * 9 + [False]
    beside_good_ones = LimitWindow(limit)
    beside_good_ones.observe_total(11, 1.0)
    assert [beside_good_ones.admit(1.0) for _ in range(12)] == [True] * 11 + [False]


def test_good_records_leave_the_window_as_well() -> None:
    limit = DeadLetterLimit(max_count=1000, max_ratio=0.5, ratio_from=2, window=60.0)
    window = LimitWindow(limit)
    window.observe_total(1000, 0.0)
    window.observe_total(1001, 100.0)
    assert window.admit(100.0)
    assert not window.admit(100.0)


def test_dead_letters_of_earlier_processes_count_for_the_limit() -> None:
    window = LimitWindow(DeadLetterLimit(max_count=3, ratio_from=100, window=60.0))
    window.seed(2, 0.0)
    assert [window.admit(1.0), window.admit(1.0)] == [True, False]


@given(attempt=st.integers(1, 10_000))
def test_backoff_grows_and_stays_within_its_bounds(attempt: int) -> None:
    policy = RetryPolicy(first=0.2, longest=30.0)
    ceiling = min(30.0, 0.2 * 2.0 ** min(attempt - 1, 60))
    assert ceiling / 2 <= policy.delay(attempt) <= ceiling
