"""Define what one answer consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tongban_report.wording import Words

Row = Mapping[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer's table.

    `kind` is count, share, duration, day or number, or the kind of a name, such as `province`.
    """

    field: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Return True if the column is aligned to the right."""
        return self.kind in {"count", "share", "duration", "number"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One chart with its query and its table.

    `queries/<name>.sql` is the query; `texts.yaml` has its texts under `<name>.`: `title`, `empty`,
    `caption` (optional) and what `finding` uses.
    """

    name: str
    columns: tuple[Column, ...]
    draw: Callable[[Rows, Words], str]
    """Returns the chart as an `svg` element, for at least one row."""
    finding: Callable[[Rows, Words], str]
    """Returns the sentence above the chart: what it shows, in figures."""
    shown: Callable[[Rows], Rows] = tuple
    """Returns the rows of the table, where the query returns more than is worth listing."""
    optional: bool = False
    """True if the answer is left out where its query returns nothing."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the report with its answers; `texts.yaml` has its `title` and `about`."""

    name: str
    answers: tuple[Answer, ...]
