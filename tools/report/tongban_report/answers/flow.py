"""Show the way of requests through their states."""

from __future__ import annotations

from tongban_report.answers.model import Answer, Column, Rows, Section
from tongban_report.charts.palette import BLUE, ENDINGS, GREY, PURPLE, VERMILLION
from tongban_report.charts.sankey import Node, sankey
from tongban_report.wording import Words

_PLACES = {
    "submitted": 0,
    "routed": 1,
    "waiting_for_province": 2,
    "held": 2,
    "accepted": 3,
    "needs_supplement": 4,
    **dict.fromkeys(ENDINGS, 5),
}
"""Column of each state in the diagram, as in the query."""
_COLOURS = {"held": VERMILLION, "needs_supplement": PURPLE, "waiting_for_province": GREY}


def draw(rows: Rows, words: Words) -> str:
    """Draw the Sankey diagram."""
    nodes = [
        Node(
            state, place, words.name("state.short", state), {**ENDINGS, **_COLOURS}.get(state, BLUE)
        )
        for state, place in _PLACES.items()
    ]
    links = [(row["source"], row["target"], row["count"]) for row in rows]
    return sankey(nodes, links, label=words.text("flow.title"))


def find(rows: Rows, words: Words) -> str:
    """Say which share went straight from the router to its final state."""
    begun = sum(row["count"] for row in rows if row["source"] == "submitted")
    into = {
        state: sum(row["count"] for row in rows if row["target"] == state)
        for state in ("waiting_for_province", "needs_supplement")
    }
    straight = sum(
        row["count"] for row in rows if row["source"] == "routed" and row["target"] == "completed"
    )
    whole = begun or 1
    return words.text(
        "flow.finding",
        straight=words.share(straight / whole),
        waited=words.share(into["waiting_for_province"] / whole),
        supplemented=words.share(into["needs_supplement"] / whole),
    )


SECTION = Section(
    "flow",
    (
        Answer(
            "flow",
            (Column("source", "state"), Column("target", "state"), Column("count", "count")),
            draw,
            find,
        ),
    ),
)
