"""Show what is asked for most: by category, zone, domain and age band."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts import bars
from tongban_report.charts.heatmap import heatmap
from tongban_report.wording import Words

_ZONES = ("cross_province", "yangtze_delta", "local", "unknown", None)
_AGES = ("0-15", "16-17", "18-29", "30-44", "45-59", "60-74", "75+", "none", "unknown", None)


def draw_categories(rows: Rows, words: Words) -> str:
    """Draw one bar for each category."""
    return bars.counts(
        [{"label": words.name("category", row["category"]), "count": row["count"]} for row in rows],
        title=words.text("axis.requests"),
        label=words.text("demand_categories.title"),
    )


def find_categories(rows: Rows, words: Words) -> str:
    """Name the category that is asked for most, and the share of the first five."""
    first = rows[0]
    return words.text(
        "demand_categories.finding",
        category=words.name("category", first["category"]),
        share=words.share(first["share"]),
        most=min(5, len(rows)),
        together=words.share(sum(row["share"] for row in rows[:5])),
    )


def _cells(rows: Rows, words: Words, kind: str, order: tuple[str | None, ...]) -> Rows:
    """Return the cells of a heat map, columns in their own order and none left out."""
    known = [each for each in order if any(row[kind] == each for row in rows)]
    known += sorted({row[kind] for row in rows} - set(order))
    counted = {(row[kind], row["domain"]): row["count"] for row in rows}
    return [
        {
            "column": words.text("none.short") if column is None else words.name(kind, column),
            "row": words.name("domain", domain),
            "count": counted.get((column, domain), 0),
        }
        for domain in dict.fromkeys(row["domain"] for row in rows)
        for column in known
    ]


def draw_zones(rows: Rows, words: Words) -> str:
    """Draw zones by domains."""
    return heatmap(
        _cells(rows, words, "zone", _ZONES),
        title=words.text("axis.zone"),
        label=words.text("demand_zones.title"),
    )


def draw_ages(rows: Rows, words: Words) -> str:
    """Draw age bands by domains."""
    return heatmap(
        _cells(rows, words, "age_band", _AGES),
        title=words.text("axis.age_band"),
        label=words.text("demand_ages.title"),
    )


def find_zones(rows: Rows, words: Words) -> str:
    """Name the zone and the domain with most requests."""
    return _find(rows, words, "zone", "demand_zones.finding")


def find_ages(rows: Rows, words: Words) -> str:
    """Name the age band with most requests, and its first domain."""
    return _find(rows, words, "age_band", "demand_ages.finding")


def _find(rows: Rows, words: Words, kind: str, key: str) -> str:
    """Name the largest value that is listed; shares are of all requests, also of the withheld."""
    total = rows[0]["requests"]
    by_kind: dict[str | None, int] = {}
    for row in rows:
        by_kind[row[kind]] = by_kind.get(row[kind], 0) + row["count"]
    listed = sum(count for value, count in by_kind.items() if value is not None)
    most = max(by_kind, key=lambda each: (each is not None, by_kind[each]))
    first = max(
        (row for row in rows if row[kind] == most),
        key=lambda row: (row["domain"] is not None, row["count"]),
    )
    return words.text(
        key,
        name=words.name(kind, most),
        share=words.share(by_kind[most] / total),
        domain=words.name("domain", first["domain"]),
        part=words.share(first["count"] / by_kind[most]),
        unlisted=words.share((total - listed) / total),
    )


def _largest(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: -row["count"])[:12]


SECTION = Section(
    "demand",
    (
        Answer(
            "demand_categories",
            (
                Column("category", "category"),
                Column("kind", "kind"),
                Column("count", "count"),
                Column("share", "share"),
            ),
            draw_categories,
            find_categories,
        ),
        Answer(
            "demand_zones",
            (Column("domain", "domain"), Column("zone", "zone"), Column("count", "count")),
            draw_zones,
            find_zones,
            _largest,
        ),
        Answer(
            "demand_ages",
            (Column("domain", "domain"), Column("age_band", "age_band"), Column("count", "count")),
            draw_ages,
            find_ages,
            _largest,
        ),
    ),
)
