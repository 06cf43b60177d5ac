"""Decode many records of event topics at once, by Arrow's JSON reader.

What is wanted of most records are a few members of one level, which Arrow reads five times faster
than Python makes objects of them. It is strict: a batch in which it finds anything unexpected is
decoded record by record (`tongban_facts.decoding`), and so is each record that lacks a member or of
which more is wanted. So both ways give the same rows, but for NaN, which is no JSON and which Arrow
takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from tongban_common import topics
from tongban_facts.decoding import BEFORE_ITEM, DECODERS, ROWS, Row, frame_of, typed

_TEXT, _NUMBER = pa.string(), pa.int64()
_OPENING = ord("{")


@dataclass(frozen=True, slots=True)
class Shape:
    """Says what Arrow reads of one kind of records.

    `optional` members may be absent. `cut` is text behind which nothing is wanted. Records whose
    `seq` is `alone` are decoded one by one.
    """

    rows: str
    members: Mapping[str, pa.DataType]
    optional: frozenset[str] = frozenset()
    cut: bytes = b""
    alone: int | None = None

    @property
    def schema(self) -> pa.Schema:
        """Return the members with their types."""
        return pa.schema(list(self.members.items()))


def _shape(rows: str, text: str, number: str = "", **more: Any) -> Shape:
    nested = more.pop("nested", {})
    members = dict.fromkeys(text.split(), _TEXT) | dict.fromkeys(number.split(), _NUMBER) | nested
    return Shape(rows, members, **more)


_STATUS = _shape(
    "status", "request_id status by cause at", "seq", nested={"note": pa.bool_()},
    optional=frozenset({"cause", "note"}), cut=BEFORE_ITEM, alone=1,
)  # fmt: skip
_PRINTED = _shape(
    "prints", "request_id order_id status at", "seq copy_number",
    nested={"document": pa.struct([("pages", _NUMBER)])}, optional=frozenset({"document"}),
)  # fmt: skip
_MESSAGE = _shape("messages", "request_id reference template channel status at")
_RATING = _shape("ratings", "request_id at", "grade")
_OUTCOME = _shape(
    "outcomes", "request_id call_id call outcome cause at", optional=frozenset({"cause"})
)
_CALL = _shape("calls", "request_id call_id at", cut=BEFORE_ITEM)
SHAPES: dict[str, Shape] = {
    topics.REQUESTS_STATUS: _STATUS,
    topics.DOCUMENTS_PRINTED: _PRINTED,
    topics.NOTIFICATIONS_SENT: _MESSAGE,
    topics.FEEDBACK_RATED: _RATING,
    topics.REQUESTS_OUTCOMES: _OUTCOME,
    **{topics.province_requests(province): _CALL for province in topics.PROVINCES},
}
"""Shapes by topic, for the topics of `DECODERS`."""

_MEMBER_OF = {("prints", "order"): "order_id", ("status", "state"): "status",
              ("prints", "state"): "status", ("messages", "state"): "status"}  # fmt: skip
"""The member of a column that has another name."""


class BulkDecoder:
    """Decodes messages and keeps their slim rows until they are taken."""

    def __init__(self) -> None:
        self.malformed = 0
        """Records so far that are no such events."""
        self.held = 0
        """Rows that are not made into frames yet."""
        self._tables: dict[str, list[pa.Table]] = {name: [] for name in ROWS}
        self._rows: dict[str, list[Row]] = {name: [] for name in ROWS}

    def add(self, messages: Sequence[Any]) -> None:
        """Decode librdkafka's messages. Tombstones are passed over."""
        batches: dict[str, tuple[Shape, list[Any], list[bytes]]] = {}
        for message in messages:
            value = message.value()
            if value is None:
                continue
            shape = SHAPES[message.topic()]
            batch = batches.get(shape.rows)
            if batch is None:
                batch = batches[shape.rows] = (shape, [], [])
            batch[1].append(message)
            cut = value.find(shape.cut) if shape.cut else -1
            batch[2].append(value if cut < 0 else value[:cut] + b"}")
        for shape, found, values in batches.values():
            self._add_batch(shape, found, values)

    def _add_batch(self, shape: Shape, messages: list[Any], values: list[bytes]) -> None:
        table = _table(shape, values)
        if table is None:
            self._one_by_one(messages)
            return
        absent = _to_be_alone(shape, table)
        if absent is not None:
            self._one_by_one(
                [messages[number] for number in pc.indices_nonzero(absent).to_pylist()]
            )
            table = table.filter(pc.invert(absent))
        self._tables[shape.rows].append(table)
        self.held += table.num_rows

    def _one_by_one(self, messages: list[Any]) -> None:
        for message in messages:
            try:
                for name, row in DECODERS[message.topic()](message.value(), message.headers):
                    self._rows[name].append(row)
                    self.held += 1
            except (KeyError, TypeError, ValueError, AttributeError):
                self.malformed += 1

    def take(self) -> dict[str, pl.DataFrame]:
        """Return the frames of all rows so far, and forget the rows."""
        found = {}
        for name in ROWS:
            frames = []
            if self._tables[name]:
                frames.append(_frame(name, pa.concat_tables(self._tables[name]).combine_chunks()))
            if self._rows[name]:
                frames.append(frame_of(name, self._rows[name]))
            number = sum(each.num_rows for each in self._tables[name]) + len(self._rows[name])
            self._tables[name].clear()
            self._rows[name].clear()
            if frames:
                found[name] = pl.concat(frames)
                self.malformed += number - found[name].height
        self.held = 0
        return found


def _table(shape: Shape, values: list[bytes]) -> pa.Table | None:
    """Return a row for each record, or None if Arrow does not take them all.

    Each record has to be one object on one line: then as many rows as records are found exactly if
    the rows are the records, in their order.
    """
    if not all(value and value[0] == _OPENING for value in values):
        return None
    lines = b"\n".join(values)
    if lines.count(b"\n") != len(values) - 1:
        return None
    try:
        if not lines.isascii():
            lines.decode()  # Arrow takes bytes that are no UTF-8
        table = pyarrow.json.read_json(
            pa.py_buffer(lines),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            pyarrow.json.ParseOptions(
                explicit_schema=shape.schema, unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return table if table.num_rows == len(values) else None


def _to_be_alone(shape: Shape, table: pa.Table) -> Any:
    """Return a mask of the records that are to be decoded one by one; None if there are none."""
    masks = [
        table.column(name).is_null()
        for name in shape.members
        if name not in shape.optional and table.column(name).null_count
    ]
    if shape.alone is not None:
        first = pc.fill_null(pc.equal(table.column("seq"), shape.alone), False)
        if pc.any(first).as_py():
            masks.append(first)
    if not masks:
        return None
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found


def _frame(name: str, table: pa.Table) -> pl.DataFrame:
    if "document" in table.column_names:
        pages = pc.struct_field(table.column("document"), "pages")
        table = table.append_column("pages", pages).drop_columns("document")
    frame = pl.DataFrame(pl.from_arrow(table))
    return typed(
        name,
        frame.select(
            pl.col(_MEMBER_OF.get((name, column), column)).alias(column)
            for column in ROWS[name].columns
        ),
    ).with_columns(_plain_types(name))


def _plain_types(name: str) -> list[pl.Expr]:
    """Return what makes the types of numbers and of absent remarks those of `ROWS`."""
    casts = [
        pl.col(column).cast(what, strict=False)
        for column, what in ROWS[name].columns.items()
        if what == pl.Int16
    ]
    if "note" in ROWS[name].columns:
        casts.append(pl.col("note").fill_null(value=False))
    return casts
