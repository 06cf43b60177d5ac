"""Many records at once give the rows that they give one by one, whatever is among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bench.facts_events import Message, Population
from tongban_common import topics
from tongban_common.clock import CHINA
from tongban_facts.bulk_decoding import SHAPES, BulkDecoder
from tongban_facts.decoding import DECODERS, ROWS, Row, frame_of

SAMPLES: list[Message] = [
    message
    for number in range(40)
    for message in Population(
        datetime(2026, 3, 2, tzinfo=CHINA), days=2, items=40, branches=5, seed=number
    ).request(number)
]


@dataclass
class Received:
    """A message as librdkafka hands it over."""

    name: str
    content: bytes | None
    given_headers: list[tuple[str, bytes]]

    def topic(self) -> str:
        return self.name

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]]:
        return self.given_headers


def _received(sample: Message) -> Received:
    topic, _, value, headers = sample
    return Received(topic, value, headers)


def _without(value: bytes, number: int) -> bytes:
    body = orjson.loads(value)
    del body[sorted(body)[number % len(body)]]
    return orjson.dumps(body)


def _with(value: bytes, number: int, other: object) -> bytes:
    body = orjson.loads(value)
    body[sorted(body)[number % len(body)]] = other
    return orjson.dumps(body)


CHANGES: dict[str, Callable[[bytes, int], bytes | None]] = {
    "none": lambda value, _: value,
    "tombstone": lambda _value, _: None,
    "empty": lambda _value, _: b"",
    "blank": lambda _value, _: b" ",
    "cut off": lambda value, number: value[: number % len(value)],
    "a byte that is no UTF-8": lambda value, number: (
        value[: number % len(value)] + b"\xff" + value[number % len(value) :]
    ),
    "half a surrogate": lambda value, number: _with(value, number, "@@").replace(b"@@", rb"\ud800"),
    "two objects": lambda value, _: value + value,
    "on many lines": lambda value, _: value.replace(b",", b",\n"),
    "indented": lambda value, _: b"  " + value,
    "an array": lambda value, _: b"[" + value + b"]",
    "members in another order": lambda value, _: orjson.dumps(
        orjson.loads(value), option=orjson.OPT_SORT_KEYS
    ),
    "a member missing": _without,
    "a member null": lambda value, number: _with(value, number, None),
    "a member unknown": lambda value, _: b'{"later":{"more":[1]},' + value[1:],
    "a number": lambda value, number: _with(value, number, 7),
    "a fraction": lambda value, number: _with(value, number, 1.5),
    "a large number": lambda value, number: _with(value, number, 1 << 40),
    "another text": lambda value, number: _with(value, number, "王小明 lives here"),
    "a truth": lambda value, number: _with(value, number, True),
    "a list": lambda value, number: _with(value, number, ["x"]),
}

MESSAGES = st.lists(
    st.builds(
        lambda sample, change, number: Received(
            sample[0], CHANGES[change](sample[2], number), sample[3]
        ),
        st.sampled_from(SAMPLES),
        st.sampled_from(sorted(CHANGES)),
        st.integers(0, 2000),
    ),
    max_size=12,
)


def _one_by_one(messages: list[Received]) -> tuple[dict[str, pl.DataFrame], int]:
    rows: dict[str, list[Row]] = {name: [] for name in ROWS}
    malformed = 0
    for message in messages:
        if message.content is None:
            continue
        try:
            for name, row in DECODERS[message.name](message.content, message.headers):
                rows[name].append(row)
        except (KeyError, TypeError, ValueError, AttributeError):
            malformed += 1
    frames = {name: frame_of(name, found) for name, found in rows.items() if found}
    lost = sum(len(rows[name]) - frame.height for name, frame in frames.items())
    return {name: frame for name, frame in frames.items() if frame.height}, malformed + lost


def _assert_same(messages: list[Received], batch: int = 5) -> None:
    decoder = BulkDecoder()
    for first in range(0, len(messages), batch):
        decoder.add(messages[first : first + batch])
    found = {name: frame for name, frame in decoder.take().items() if not frame.is_empty()}
    expected, malformed = _one_by_one(messages)
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, check_row_order=False)
    assert decoder.malformed == malformed
    assert decoder.held == 0


def test_shapes_are_known_for_the_topics_of_the_decoders() -> None:
    assert SHAPES.keys() == DECODERS.keys()


def test_records_of_the_event_models_are_all_taken_by_arrow() -> None:
    messages = [_received(each) for each in SAMPLES if b'"seq":1,' not in each[2]]
    assert {each.name for each in messages} >= {
        topics.REQUESTS_STATUS, topics.DOCUMENTS_PRINTED, topics.NOTIFICATIONS_SENT,
        topics.FEEDBACK_RATED, topics.REQUESTS_OUTCOMES,
    }  # fmt: skip
    for message in messages:
        message.given_headers = []  # whoever decodes one by one a call without `at` looks here
    _assert_same(messages, batch=50)


def test_call_written_before_it_told_its_time_has_that_of_its_header() -> None:
    call = next(_received(each) for each in SAMPLES if each[0].startswith("province."))
    body = orjson.loads(call.content or b"")
    del body["at"]
    call.content = orjson.dumps(body)
    decoder = BulkDecoder()
    decoder.add([call])
    asked_at = decoder.take()["calls"]["at"].item()
    moment = datetime.fromisoformat(dict(call.given_headers)["ce_time"].decode())
    assert asked_at == int(moment.timestamp() * 1000)


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_changed_records_give_the_rows_that_they_give_one_by_one(change: str) -> None:
    for step in (1, 7, 40, 333):
        messages = [_received(each) for each in SAMPLES[::9]]
        for message in messages[::3]:
            message.content = CHANGES[change](message.content or b"", step)
        _assert_same(messages)


@given(MESSAGES)
def test_any_records_give_the_rows_that_they_give_one_by_one(messages: list[Received]) -> None:
    _assert_same(messages)
