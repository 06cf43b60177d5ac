"""Show what waits, for whom, and since when."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts import bars
from tongban_report.charts.palette import BLUE, GREEN, GREY, INK, PURPLE, VERMILLION
from tongban_report.wording import Words

AGES = {"d0": BLUE, "d1": GREEN, "d2": PURPLE, "d4": VERMILLION, "d8": INK}
REASONS = {
    "for_province": BLUE,
    "for_applicant": GREEN,
    "for_operator": VERMILLION,
    "in_progress": GREY,
}


def draw(rows: Rows, words: Words) -> str:
    """Draw one bar for each state, divided by how long requests have been in it."""
    counted: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["state"], row["age"]
        counted[key] = counted.get(key, 0) + row["count"]
    return bars.stacked(
        [
            {"label": words.name("state", state), "part": age, "count": count}
            for (state, age), count in counted.items()
        ],
        parts=AGES,
        part_titles={age: words.name("age", age) for age in AGES},
        title=words.text("axis.requests"),
        label=words.text("waiting_now.title"),
    )


def find(rows: Rows, words: Words) -> str:
    """Say how many wait, and since when the longest does."""
    oldest = min(rows, key=lambda row: row["since"])
    return words.text(
        "waiting_now.finding",
        count=words.count(sum(row["count"] for row in rows)),
        since=f"{oldest['since']:%Y-%m-%d}",
        state=words.name("state", oldest["state"]),
    )


def draw_where(rows: Rows, words: Words) -> str:
    """Draw one bar for each province, divided by what its requests wait for."""
    return bars.stacked(
        [
            {"label": words.name("province", row["province"]), "part": part, "count": row[part]}
            for row in rows
            for part in REASONS
        ],
        parts=REASONS,
        part_titles={part: words.text(f"column.{part}") for part in REASONS},
        title=words.text("axis.requests"),
        label=words.text("waiting_where.title"),
    )


def find_where(rows: Rows, words: Words) -> str:
    """Name the province with most open requests."""
    first = rows[0]
    return words.text(
        "waiting_where.finding",
        province=words.name("province", first["province"]),
        count=words.count(first["count"]),
        since=f"{first['since']:%Y-%m-%d}",
    )


SECTION = Section(
    "waiting",
    (
        Answer(
            "waiting_now",
            (
                Column("state", "state"),
                Column("cause", "cause"),
                Column("age", "age"),
                Column("count", "count"),
                Column("since", "day"),
            ),
            draw,
            find,
        ),
        Answer(
            "waiting_where",
            (
                Column("province", "province"),
                Column("count", "count"),
                *(Column(part, "count") for part in REASONS),
                Column("since", "day"),
            ),
            draw_where,
            find_where,
        ),
    ),
)
