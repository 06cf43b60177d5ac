"""Show how many sheets were printed within five minutes, the published promise."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts import bars, distributions
from tongban_report.charts.palette import BLUE, GREY, VERMILLION
from tongban_report.wording import Words

PROMISE_MS = 300_000
_LISTED = (
    30_000, 60_000, 120_000, 180_000, PROMISE_MS, 600_000, 1_800_000, 3_600_000, 28_800_000,
    86_400_000,
)  # fmt: skip


def draw_after(rows: Rows, words: Words) -> str:
    """Draw the share that is printed after each time."""
    return distributions.done_after(
        rows,
        words,
        promise_ms=PROMISE_MS,
        promise=words.text("printed_after.promise"),
        title=words.text("axis.to_print"),
        label=words.text("printed_after.title"),
    )


def find_after(rows: Rows, words: Words) -> str:
    """Say which share was printed in time."""
    (promised,) = (row for row in rows if row["ms"] == PROMISE_MS)
    last = rows[-1]
    return words.text(
        "printed_after.finding",
        share=words.share(promised["share"]),
        printed=words.count(promised["printed"]),
        ordered=words.count(promised["ordered"]),
        ever=words.share(last["share"]),
    )


PARTS = {"in_time": BLUE, "later": VERMILLION, "unprinted": GREY}


def draw_kinds(rows: Rows, words: Words) -> str:
    """Draw one bar for each kind of item: in time, later, not printed."""
    return bars.stacked(
        [
            {"label": words.name("kind", row["kind"]), "part": part, "count": row[part]}
            for row in rows
            for part in PARTS
        ],
        parts=PARTS,
        part_titles={part: words.text(f"column.{part}") for part in PARTS},
        title=words.text("axis.share"),
        label=words.text("printed_by_kind.title"),
        normalized=True,
    )


def find_kinds(rows: Rows, words: Words) -> str:
    """Name the kind whose sheets come late most often."""
    worst = min(rows, key=lambda row: row["share"])
    return words.text(
        "printed_by_kind.finding",
        kind=words.name("kind", worst["kind"]),
        share=words.share(worst["share"]),
        p50=words.duration(worst["p50"]),
    )


SECTION = Section(
    "printing",
    (
        Answer(
            "printed_after",
            (Column("ms", "duration"), Column("printed", "count"), Column("share", "share")),
            draw_after,
            find_after,
            lambda rows: [row for row in rows if row["ms"] in _LISTED],
        ),
        Answer(
            "printed_by_kind",
            (
                Column("kind", "kind"),
                Column("ordered", "count"),
                Column("in_time", "count"),
                Column("later", "count"),
                Column("unprinted", "count"),
                Column("share", "share"),
                Column("p50", "duration"),
            ),
            draw_kinds,
            find_kinds,
        ),
    ),
)
