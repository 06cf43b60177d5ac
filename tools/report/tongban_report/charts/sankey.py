"""Draw how requests flow through their states.

Neither Vega nor Vega-Lite lays out a Sankey diagram, so nodes and ribbons are computed here and
drawn by Vega as rectangles and paths. Every node has a rank, and ribbons go from a lower rank to a
higher one; the caller has dropped the ways back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tongban_report.charts.palette import INK
from tongban_report.charts.rendering import FONTS, WIDTH, vega_svg

_HEIGHT, _NODE_WIDTH, _GAP, _LEAST = 340, 13, 36, 1.5
"""Pixels: height of the diagram, width of a node, gap between nodes, height of the least ribbon."""
_RIGHT = 80
"""Pixels at the right for the names of the last rank."""


@dataclass(frozen=True, slots=True)
class Node:
    """A state in the diagram: its column from the left (`rank`), its name and its colour."""

    key: str
    rank: int
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class _Place:
    node: Node
    x: float
    y: float
    height: float
    count: int


def sankey(nodes: Sequence[Node], links: Sequence[tuple[str, str, int]], *, label: str) -> str:
    """Draw `links` (from, to, count) between `nodes`; nodes without a link are left out."""
    links = [link for link in links if link[2] > 0]
    places = _places(nodes, links)
    rects = [
        {
            "x": place.x,
            "y": place.y,
            "h": place.height,
            "fill": place.node.colour,
            "name": [place.node.name, f"{place.count:,}"],
        }
        for place in places.values()
    ]
    return vega_svg(
        {
            "width": WIDTH,
            "height": _HEIGHT,
            "background": None,
            "config": {"text": {"font": FONTS}},
            "data": [
                {"name": "ribbons", "values": _ribbons(places, links)},
                {"name": "nodes", "values": rects},
            ],
            "marks": _marks(),
        },
        label,
    )


def _places(
    nodes: Sequence[Node], links: Sequence[tuple[str, str, int]]
) -> dict[str, _Place]:  # fmt: skip
    into: dict[str, int] = defaultdict(int)
    out: dict[str, int] = defaultdict(int)
    for source, target, count in links:
        out[source] += count
        into[target] += count
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        if into[node.key] or out[node.key]:
            columns[node.rank].append(node)
    if not columns:
        return {}
    through = {node.key: max(into[node.key], out[node.key]) for node in nodes}
    fullest = max(sum(through[node.key] for node in column) for column in columns.values())
    most = max(len(column) for column in columns.values())
    scale = (_HEIGHT - _GAP * most) / fullest
    ranks = sorted(columns)
    step = (WIDTH - _RIGHT - _NODE_WIDTH) / max(1, len(ranks) - 1)
    found: dict[str, _Place] = {}

    def filled(rank: int) -> float:
        heights = [max(_LEAST, through[node.key] * scale) for node in columns[rank]]
        return sum(heights) + _GAP * (len(heights) - 1)

    # What goes straight on stays at the top, the detours in the middle hang below it.
    for number, rank in enumerate(ranks):
        y = _GAP if number < 2 or number == len(ranks) - 1 else _HEIGHT - filled(rank)
        for node in columns[rank]:
            height = max(_LEAST, through[node.key] * scale)
            found[node.key] = _Place(node, number * step, y, height, through[node.key])
            y += height + _GAP
    return found


def _ribbons(
    places: Mapping[str, _Place], links: Sequence[tuple[str, str, int]]
) -> list[dict[str, Any]]:
    """Return the path and the colour of each link; the largest are drawn first."""
    leaving = {key: place.y for key, place in places.items()}
    coming = dict(leaving)
    drawn = []
    for source, target, count in sorted(
        links, key=lambda link: (places[link[0]].y, places[link[1]].y)
    ):
        begin, end = places[source], places[target]
        first = count / begin.count * begin.height
        last = count / end.count * end.height
        x0, x1 = begin.x + _NODE_WIDTH, end.x
        y0, y1 = leaving[source], coming[target]
        leaving[source] += first
        coming[target] += last
        half = (x0 + x1) / 2
        drawn.append(
            {
                "path": f"M{x0:.1f},{y0:.1f}C{half:.1f},{y0:.1f} {half:.1f},{y1:.1f} "
                f"{x1:.1f},{y1:.1f}V{y1 + last:.1f}C{half:.1f},{y1 + last:.1f} "
                f"{half:.1f},{y0 + first:.1f} {x0:.1f},{y0 + first:.1f}Z",
                "fill": end.node.colour,
                "count": count,
            }
        )
    return sorted(drawn, key=lambda ribbon: -ribbon["count"])


def _marks() -> list[dict[str, Any]]:
    """Return ribbons, then nodes, then the names above the nodes."""
    at = {"x": {"field": "x"}, "y": {"field": "y"}}
    return [
        {
            "type": "path",
            "from": {"data": "ribbons"},
            "encode": {
                "enter": {
                    "path": {"field": "path"},
                    "fill": {"field": "fill"},
                    "fillOpacity": {"value": 0.32},
                }
            },
        },
        {
            "type": "rect",
            "from": {"data": "nodes"},
            "encode": {
                "enter": {
                    **at,
                    "width": {"value": _NODE_WIDTH},
                    "height": {"field": "h"},
                    "fill": {"field": "fill"},
                }
            },
        },
        {
            "type": "text",
            "from": {"data": "nodes"},
            "encode": {
                "enter": {
                    "x": {"field": "x"},
                    "y": {"field": "y", "offset": -19},
                    "lineHeight": {"value": 14},
                    "text": {"field": "name"},
                    "fill": {"value": INK},
                    "fontSize": {"value": 12},
                }
            },
        },
    ]
