"""Describe dashboards without Grafana's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of PromQL, and the legend of its series (`{{label}}` is a label's value)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `description` says what it shows, and what to do if it looks wrong."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    """One of Grafana's units: s, reqps, short, bytes, percentunit."""
    single: bool = False
    """Show the newest value as a number instead of a graph."""
    limit: float | None = None
    """Draw a red line, or colour the number, from this value on."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `variables` are label names of `tongban_build_info` to choose from."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[str] = field(default=())

    def panels(self) -> list[Panel]:
        """Return the panels of all rows."""
        return [panel for row in self.rows for panel in row.panels]
