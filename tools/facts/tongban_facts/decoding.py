"""Decode the records of event topics into slim rows: what the fact tables need and nothing else.

Names, phone numbers, forms and the applicant's words are sealed in the events and are not decoded.
Free texts (`reason`) and the ids of kiosks and lobby managers are dropped here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from tongban_common import topics

Row = tuple[Any, ...]
Headers = list[tuple[str, bytes]]
MOMENT = "moment"
"""Marks a column that holds RFC 3339 text until `frame_of` makes milliseconds of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One kind of slim rows: its columns, and which of them identify a row."""

    columns: dict[str, Any]
    key: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        """Return the columns' types once moments are milliseconds."""
        return {name: pl.Int64 if kind == MOMENT else kind for name, kind in self.columns.items()}


_T, _N = pl.String, pl.Int16
ROWS: dict[str, Rows] = {
    "requests": Rows(
        {"request_id": _T, "submitted": MOMENT, "item": _T, "category": _T, "province": _T,
         "kind": _T, "branch": _T, "channel": _T, "age_band": _T}, ()),
    "status": Rows(
        {"request_id": _T, "seq": _N, "state": _T, "note": pl.Boolean, "by": _T, "cause": _T,
         "at": MOMENT}, ("seq",)),
    "prints": Rows(
        {"request_id": _T, "order": _T, "seq": _N, "state": _T, "copy_number": _N, "pages": _N,
         "at": MOMENT}, ("order", "seq")),
    "messages": Rows(
        {"request_id": _T, "reference": _T, "template": _T, "channel": _T, "state": _T,
         "at": MOMENT}, ("reference", "at", "state")),
    "ratings": Rows({"request_id": _T, "grade": _N, "at": MOMENT}, ()),
    "outcomes": Rows(
        {"request_id": _T, "call_id": _T, "call": _T, "outcome": _T, "cause": _T, "at": MOMENT},
        ("call_id", "at", "outcome")),
    "calls": Rows({"request_id": _T, "call_id": _T, "at": MOMENT}, ("call_id",)),
}  # fmt: skip
"""The kinds of slim rows. A row is identified by its request and `key`."""

BEFORE_ITEM = b',"item":{'
"""Stands behind all that is wanted of a status but the first one, and of a call."""
_CODE = r"^[a-z][a-z0-9_.-]{0,47}$"
_CODES = ("state", "by", "cause", "template", "channel", "call", "outcome", "kind")
"""Columns with codes of ours. Another text could be anyone's words, so it becomes `other`."""


def _head(value: bytes, mark: bytes) -> dict[str, Any]:
    """Decode an object up to a member, which is most of its length.

    The mark cannot stand inside a string, where its quotes are escaped. Members that come after it
    are missing from the result.
    """
    cut = value.find(mark)
    found: dict[str, Any] = orjson.loads(value if cut < 0 else value[:cut] + b"}")
    return found


def _status_row(body: dict[str, Any]) -> Row:
    return (
        body["request_id"], body["seq"], body["status"], body.get("note") or False, body["by"],
        body.get("cause"), body["at"],
    )  # fmt: skip


def _status(value: bytes, _headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = _head(value, BEFORE_ITEM)
    try:
        row = _status_row(body)
    except KeyError:
        body = orjson.loads(value)
        row = _status_row(body)
    if body["seq"] != 1:
        return [("status", row)]
    if "item" not in body:
        body = orjson.loads(value)
    item, origin, applicant = body["item"], body["origin"], body["applicant"]
    band = "none" if applicant["type"] == "company" else applicant.get("age_band") or "unknown"
    request = (
        body["request_id"], body["submitted_at"], item["code"], item["category"],
        item["province"], item["kind"], origin["branch_id"], origin["channel"], band,
    )  # fmt: skip
    return [("requests", request), ("status", row)]


def _printed(value: bytes, headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = orjson.loads(value)
    if "order_id" not in body:
        return _of_another_type(headers, b"tongban.print.reported.v1")
    document = body.get("document") or {}
    row = (
        body["request_id"], body["order_id"], body["seq"], body["status"], body["copy_number"],
        document.get("pages"), body["at"],
    )  # fmt: skip
    return [("prints", row)]


def _of_another_type(headers: Callable[[], Headers], wanted: bytes) -> list[tuple[str, Row]]:
    """Return no rows for an event of another type.

    Decoders look at the body first: to make the headers of a record takes longer than to parse it.

    Raises:
        ValueError: it says that it is of the wanted type, so the body lacks a member.
    """
    if header(headers(), "ce_type") == wanted:
        raise ValueError
    return []


def _message(value: bytes, _headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = orjson.loads(value)
    row = (
        body["request_id"], body["reference"], body["template"], body["channel"], body["status"],
        body["at"],
    )  # fmt: skip
    return [("messages", row)]


def _rating(value: bytes, _headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = orjson.loads(value)
    return [("ratings", (body["request_id"], body["grade"], body["at"]))]


def _outcome(value: bytes, headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = orjson.loads(value)
    if "outcome" not in body:
        return _of_another_type(headers, b"tongban.province.outcome.v1")
    row = (
        body["request_id"], body["call_id"], body["call"], body["outcome"], body.get("cause"),
        body["at"],
    )  # fmt: skip
    return [("outcomes", row)]


def _call(value: bytes, headers: Callable[[], Headers]) -> list[tuple[str, Row]]:
    body = _head(value, BEFORE_ITEM)
    if "call_id" not in body:
        body = orjson.loads(value)
    asked_at = body.get("at") or header(headers(), "ce_time").decode()
    return [("calls", (body["request_id"], body["call_id"], asked_at))]


def header(headers: Headers, name: str) -> bytes:
    """Return the value of a header.

    Raises:
        KeyError: there is none.
    """
    for key, value in headers:
        if key == name:
            return value
    raise KeyError(name)


Decode = Callable[[bytes, Callable[[], Headers]], list[tuple[str, Row]]]
DECODERS: dict[str, Decode] = {
    topics.REQUESTS_STATUS: _status,
    topics.DOCUMENTS_PRINTED: _printed,
    topics.NOTIFICATIONS_SENT: _message,
    topics.FEEDBACK_RATED: _rating,
    topics.REQUESTS_OUTCOMES: _outcome,
    **{topics.province_requests(province): _call for province in topics.PROVINCES},
}
"""Decoders by topic. `requests.status` comes first: it says of which day a request is.

A decoder raises KeyError, TypeError or ValueError for a record that is no such event."""


def _code(column: pl.Series) -> pl.Series:
    """Return the column with `other` for texts that are no codes. Few values are checked, often
    used."""
    values = column.unique().drop_nulls()
    wrong = values.filter(~values.str.contains(_CODE))
    if wrong.is_empty():
        return column
    return column.replace(wrong, pl.Series(["other"] * wrong.len()))


def frame_of(name: str, rows: list[Row]) -> pl.DataFrame:
    """Return slim rows of one kind as a frame, moments as milliseconds since the epoch.

    A row with a moment that is none gets a null there, and is dropped.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(ROWS[name].columns)
    schema = ROWS[name].columns.items()
    return typed(
        name,
        pl.DataFrame(
            [
                pl.Series(column, values, dtype=pl.String if what == MOMENT else what, strict=False)
                for (column, what), values in zip(schema, columns, strict=True)
            ]
        ),
    )


def typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with codes checked and moments made of their texts; drop rows that lack one."""
    columns = ROWS[name].columns
    moments = [column for column, what in columns.items() if what == MOMENT]
    frame = frame.with_columns(
        _code(frame.get_column(column)) for column in _CODES if column in columns
    )
    return frame.with_columns(
        pl.col(column).str.to_datetime("%+", time_unit="ms", strict=False).cast(pl.Int64)
        for column in moments
    ).drop_nulls(["request_id", *moments])
