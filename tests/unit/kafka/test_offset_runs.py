"""Tests the encoding of offsets that are done behind a committed one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_kafka.offset_runs import decode_offsets, encode_offsets

BASES = st.integers(0, 2**62)
DISTANCES = st.frozensets(st.integers(0, 5000), max_size=400)


@given(BASES, DISTANCES)
def test_offsets_are_read_as_they_were_written(base: int, distances: frozenset[int]) -> None:
    offsets = {base + each for each in distances}
    assert decode_offsets(encode_offsets(offsets, base, most=10_000), base) == offsets


@given(BASES, DISTANCES, st.integers(0, 200))
def test_what_does_not_fit_is_left_out_from_the_highest_on(
    base: int, distances: frozenset[int], most: int
) -> None:
    offsets = {base + each for each in distances}
    text = encode_offsets(offsets, base, most=most)
    found = decode_offsets(text, base)
    assert len(text) <= most
    assert sorted(offsets)[: len(found)] == sorted(found)


def test_ten_thousand_offsets_in_a_row_take_few_characters() -> None:
    assert len(encode_offsets(range(101, 10_101), 100, most=2000)) == 4


def test_offset_below_the_base_is_refused() -> None:
    with pytest.raises(ValueError, match="offset 4 is below 5"):
        encode_offsets([4, 6], 5, most=100)


@given(st.text("ABCDEFGHabcdefgh0123456789-_", max_size=40))
def test_any_other_text_is_refused_or_read_as_few_offsets(text: str) -> None:
    try:
        found = decode_offsets(text, 7)
    except ValueError:
        return
    assert len(found) <= 1_000_000
    assert all(offset >= 7 for offset in found)


@pytest.mark.parametrize("text", ["A", "AQ", "gA", "AP___w8", "_" * 20])
def test_text_that_is_cut_off_or_names_too_many_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offsets|bits|cut off"):
        decode_offsets(text, 0)
