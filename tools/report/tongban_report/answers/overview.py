"""Show the period at a glance: key figures, requests by hour and day, and how requests ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tongban_report.answers.model import Answer, Column, Row, Rows, Section
from tongban_report.charts import bars
from tongban_report.charts.palette import CHANNELS
from tongban_report.wording import Words


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure at the top of the report; `note` says what it is a part of."""

    name: str
    value: str
    note: str = ""


def figures(overview: Row, words: Words) -> Sequence[Figure]:
    """Return the key figures of the period."""

    def part(name: str, of: str) -> Figure:
        count, whole = overview[name], overview[of]
        return Figure(
            words.text(f"figure.{name}"),
            words.share(count / whole if whole else None),
            words.text("of", count=words.count(count), whole=words.count(whole))
            if whole
            else words.text(f"figure.{name}.none"),
        )

    def plain(name: str, value: str, **values: str) -> Figure:
        return Figure(
            words.text(f"figure.{name}"), value, words.text(f"figure.{name}.note", **values)
        )

    return (
        plain("requests", words.count(overview["requests"]), provinces=str(overview["provinces"])),
        part("completed", "ended"),
        plain(
            "answer_p50",
            words.duration(overview["answer_p50"]),
            p90=words.duration(overview["answer_p90"]),
        ),
        part("printed_in_time", "ordered"),
        part("assisted", "requests"),
        part("satisfied", "rated"),
        plain("failed", words.count(overview["failed"])),
        plain("waiting", words.count(overview["waiting"])),
    )


def _channel_titles(words: Words) -> dict[str, str]:
    return {channel: words.name("channel", channel) for channel in CHANNELS}


def _hour(hour: int | None, words: Words) -> str:
    return words.text("none.short") if hour is None else f"{hour:02}"


def draw_hours(rows: Rows, words: Words) -> str:
    """Draw one column for each hour between the first and the last that has requests."""
    hours = [row["hour"] for row in rows if row["hour"] is not None]
    shown: list[int | None] = list(range(min(hours), max(hours) + 1)) if hours else []
    if any(row["hour"] is None for row in rows):
        shown.append(None)
    counted = {(row["hour"], row["channel"]): row["count"] for row in rows}
    return bars.columns_over_time(
        [
            {"label": _hour(hour, words), "part": part, "count": counted.get((hour, part), 0)}
            for hour in shown
            for part in CHANNELS
        ],
        parts=CHANNELS,
        part_titles=_channel_titles(words),
        title=words.text("axis.requests"),
        label=words.text("by_hour.title"),
    )


def _pivot(rows: Rows, key: str) -> Rows:
    """Return one row for each `key` with the counts of both channels and their sum."""
    keys: Iterable[Any] = dict.fromkeys(row[key] for row in rows)
    counted = {(row[key], row["channel"]): row["count"] for row in rows}
    found = []
    for each in keys:
        parts = {part: counted.get((each, part), 0) for part in CHANNELS}
        name = f"{each:02}:00–{each:02}:59" if key == "hour" and each is not None else each
        found.append({key: name, **parts, "count": sum(parts.values())})
    return found


def find_hours(rows: Rows, words: Words) -> str:
    """Name the busiest hour."""
    known = [row for row in _pivot(rows, "hour") if row["hour"] is not None]
    if not known:
        return words.text("by_hour.coarsened")
    total = sum(row["count"] for row in _pivot(rows, "hour"))
    busiest = max(known, key=lambda row: row["count"])
    return words.text(
        "by_hour.finding",
        hour=busiest["hour"],
        count=words.count(busiest["count"]),
        share=words.share(busiest["count"] / total),
    )


def draw_days(rows: Rows, words: Words) -> str:
    """Draw one column for each date; its year is in the heading of the report."""
    several = len({row["day"].year for row in rows}) > 1
    return bars.columns_over_time(
        [
            {
                "label": f"{row['day']:%Y-%m-%d}" if several else f"{row['day']:%m-%d}",
                "part": row["channel"],
                "count": row["count"],
            }
            for row in rows
        ],
        parts=CHANNELS,
        part_titles=_channel_titles(words),
        title=words.text("axis.requests"),
        label=words.text("by_day.title"),
    )


def find_days(rows: Rows, words: Words) -> str:
    """Name the days with the most and the fewest requests."""
    days = _pivot(rows, "day")
    most = max(days, key=lambda row: row["count"])
    least = min(days, key=lambda row: row["count"])
    return words.text(
        "by_day.finding", most=_said(most["day"]), count=words.count(most["count"]),
        least=_said(least["day"]), fewest=words.count(least["count"]),
    )  # fmt: skip


def _said(day: date) -> str:
    return f"{day:%Y-%m-%d}"


def draw_endings(rows: Rows, words: Words) -> str:
    """Draw one bar for each state."""
    return bars.counts(
        [{"label": words.name("state", row["state"]), "count": row["count"]} for row in rows],
        title=words.text("axis.requests"),
        label=words.text("endings.title"),
    )


def find_endings(rows: Rows, words: Words) -> str:
    """Say which share was completed and which ended otherwise."""
    total = sum(row["count"] for row in rows)
    count = {row["state"]: row["count"] for row in rows}
    other = sum(count.get(state, 0) for state in ("rejected", "withdrawn", "expired", "failed"))
    completed = count.get("completed", 0)
    return words.text(
        "endings.finding",
        completed=words.share(completed / total),
        other=words.share(other / total),
        waiting=words.share((total - completed - other) / total),
    )


_CHANNEL_COLUMNS = (
    Column("self_service", "count"),
    Column("assisted", "count"),
    Column("count", "count"),
)
SECTION = Section(
    "overview",
    (
        Answer(
            "by_hour",
            (Column("hour", "hour"), *_CHANNEL_COLUMNS),
            draw_hours,
            find_hours,
            lambda rows: _pivot(rows, "hour"),
        ),
        Answer(
            "by_day",
            (Column("day", "day"), *_CHANNEL_COLUMNS),
            draw_days,
            find_days,
            lambda rows: _pivot(rows, "day"),
            optional=True,
        ),
        Answer(
            "endings",
            (
                Column("state", "state"),
                Column("count", "count"),
                Column("share", "share"),
                Column("p50", "duration"),
            ),
            draw_endings,
            find_endings,
        ),
    ),
)
