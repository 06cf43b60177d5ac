"""Compare assisted and self-service requests, and show how applicants rate."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts import bars, distributions
from tongban_report.charts.palette import CHANNELS, GRADES
from tongban_report.wording import Words


def draw_ages(rows: Rows, words: Words) -> str:
    """Draw one bar for each age band, divided by channel."""
    return bars.stacked(
        [
            {"label": words.name("age_band", row["age_band"]), "part": part, "count": row[part]}
            for row in rows
            for part in CHANNELS
        ],
        parts=CHANNELS,
        part_titles={part: words.name("channel", part) for part in CHANNELS},
        title=words.text("axis.share"),
        label=words.text("channels_ages.title"),
        normalized=True,
    )


def find_ages(rows: Rows, words: Words) -> str:
    """Say which share was assisted, and in which age band most."""
    requests = sum(row["self_service"] + row["assisted"] for row in rows)
    assisted = sum(row["assisted"] for row in rows)
    most = max(rows, key=lambda row: (row["age_band"] is not None, row["share"]))
    return words.text(
        "channels_ages.finding",
        share=words.share(assisted / requests),
        band=words.name("age_band", most["age_band"]),
        most=words.share(most["share"]),
    )


def draw_times(rows: Rows, words: Words) -> str:
    """Draw the quantiles of the whole time for each kind and channel."""
    return distributions.intervals(
        [
            {
                **row,
                "label": words.text(
                    "pair",
                    first=words.name("kind", row["kind"]),
                    second=words.name("channel", row["channel"]),
                ),
            }
            for row in rows
        ],
        words,
        title=words.text("axis.to_final"),
        label=words.text("channels_times.title"),
    )


def find_times(rows: Rows, words: Words) -> str:
    """Compare the completed shares of both channels."""
    shares = {}
    for channel in CHANNELS:
        mine = [row for row in rows if row["channel"] == channel]
        ended = sum(row["ended"] for row in mine)
        shares[channel] = sum(row["completed"] for row in mine) / ended if ended else None
    return words.text(
        "channels_times.finding",
        assisted=words.share(shares["assisted"]),
        self_service=words.share(shares["self_service"]),
    )


def draw_satisfaction(rows: Rows, words: Words) -> str:
    """Draw one bar for each domain, divided by grade."""
    parts = {str(grade): colour for grade, colour in GRADES.items()}
    return bars.stacked(
        [
            {
                "label": words.name("domain", row["domain"]),
                "part": grade,
                "count": row[f"grade{grade}"],
            }
            for row in rows
            for grade in parts
        ],
        parts=parts,
        part_titles={grade: words.name("grade", grade) for grade in parts},
        title=words.text("axis.share"),
        label=words.text("satisfaction.title"),
        normalized=True,
    )


def find_satisfaction(rows: Rows, words: Words) -> str:
    """Say the mean grade, the satisfied share, and where it is least."""
    rated = sum(row["rated"] for row in rows)
    satisfied = sum(row["grade4"] + row["grade5"] for row in rows)
    mean = sum(row["mean"] * row["rated"] for row in rows) / rated
    return words.text(
        "satisfaction.finding",
        rated=words.count(rated),
        share=words.share(satisfied / rated),
        mean=f"{mean:.2f}",
        domain=words.name("domain", rows[0]["domain"]),
        least=f"{rows[0]['mean']:.2f}",
    )


_GRADE_COLUMNS = tuple(Column(f"grade{grade}", "count") for grade in GRADES)
SECTIONS = (
    Section(
        "channels",
        (
            Answer(
                "channels_ages",
                (
                    Column("age_band", "age_band"),
                    Column("self_service", "count"),
                    Column("assisted", "count"),
                    Column("share", "share"),
                ),
                draw_ages,
                find_ages,
            ),
            Answer(
                "channels_times",
                (
                    Column("kind", "kind"),
                    Column("channel", "channel"),
                    Column("requests", "count"),
                    Column("completed_share", "share"),
                    Column("p50", "duration"),
                    Column("p90", "duration"),
                    Column("grade", "number"),
                ),
                draw_times,
                find_times,
            ),
        ),
    ),
    Section(
        "satisfaction",
        (
            Answer(
                "satisfaction",
                (
                    Column("domain", "domain"),
                    Column("rated", "count"),
                    *_GRADE_COLUMNS,
                    Column("mean", "number"),
                ),
                draw_satisfaction,
                find_satisfaction,
            ),
        ),
    ),
)
