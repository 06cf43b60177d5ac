"""Compare provinces by the time to their answer, and by what failed."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts import bars, distributions
from tongban_report.wording import Words


def draw_answers(rows: Rows, words: Words) -> str:
    """Draw the quantiles of each province, the slowest first."""
    return distributions.intervals(
        [{**row, "label": words.name("province", row["province"])} for row in rows],
        words,
        title=words.text("axis.to_answer"),
        label=words.text("provinces_answer.title"),
    )


def find_answers(rows: Rows, words: Words) -> str:
    """Name the slowest and the fastest province by their medians."""
    if len(rows) == 1:
        (only,) = rows
        return words.text(
            "provinces_answer.one",
            province=words.name("province", only["province"]),
            p50=words.duration(only["p50"]),
            p90=words.duration(only["p90"]),
        )
    slow, fast = rows[0], rows[-1]
    return words.text(
        "provinces_answer.finding",
        slow=words.name("province", slow["province"]), slow_p50=words.duration(slow["p50"]),
        slow_p90=words.duration(slow["p90"]), fast=words.name("province", fast["province"]),
        fast_p50=words.duration(fast["p50"]),
    )  # fmt: skip


def draw_failures(rows: Rows, words: Words) -> str:
    """Draw the share of failed or disturbed requests of each province with its interval."""
    return bars.shares_with_interval(
        [{**row, "label": words.name("province", row["province"])} for row in rows],
        title=words.text("axis.troubled"),
        label=words.text("provinces_failure.title"),
    )


def find_failures(rows: Rows, words: Words) -> str:
    """Say how many failed, and in which provinces more were disturbed than by chance."""
    requests = sum(row["requests"] for row in rows)
    troubled = sum(row["troubled"] for row in rows)
    failed = sum(row["failed"] for row in rows)
    overall = troubled / requests
    worse = [row for row in rows if row["low"] > overall]
    counts = {
        "failed": words.count(failed),
        "requests": words.count(requests),
        "share": words.share(overall),
    }
    if not worse or len(rows) == 1:
        return words.text("provinces_failure.even", **counts)
    names = words.text("comma").join(words.name("province", row["province"]) for row in worse[:4])
    return words.text("provinces_failure.finding", provinces=names, **counts)


SECTION = Section(
    "provinces",
    (
        Answer(
            "provinces_answer",
            (
                Column("province", "province"),
                Column("answered", "count"),
                Column("p10", "duration"),
                Column("p50", "duration"),
                Column("p90", "duration"),
                Column("p99", "duration"),
            ),
            draw_answers,
            find_answers,
        ),
        Answer(
            "provinces_failure",
            (
                Column("province", "province"),
                Column("requests", "count"),
                Column("failed", "count"),
                Column("disturbed", "count"),
                Column("share", "share"),
                Column("rejected", "count"),
            ),
            draw_failures,
            find_failures,
        ),
    ),
)
