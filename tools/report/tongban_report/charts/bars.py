"""Draw bars: counts, shares of a whole, and shares with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tongban_report.charts.axes import share_axis
from tongban_report.charts.palette import BLUE, INK, VERMILLION
from tongban_report.charts.rendering import extent, legend, lite_svg

Rows = Sequence[Mapping[str, Any]]
_STEP = 20
"""Pixels of one horizontal bar with its gap."""
LABEL_LIMIT = 230
"""Pixels of the longest label of an axis; a longer one is cut off, and whole in the table."""


def category(labels: Iterable[str], *, grid: bool = False) -> dict[str, Any]:
    """Return the vertical channel of the field `label`, in the order of the rows."""
    return {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "ticks": False,
            "domain": False,
            "labelLimit": LABEL_LIMIT,
            "minExtent": min(LABEL_LIMIT, extent(labels)),
            "grid": grid,
            "gridDash": [1, 3],
        },
    }


def _labels(rows: Rows) -> list[str]:
    return [row["label"] for row in rows]


def counts(rows: Rows, *, title: str, label: str) -> str:
    """Draw one horizontal bar for each row of `label` and `count`, with its count at its end."""
    most = max(row["count"] for row in rows)
    x = {"field": "count", "type": "quantitative"}
    # Leave room for the figure at the end of the longest bar.
    scale = {"domain": [0, most * 1.1], "nice": False}
    spec = {
        "data": {"values": list(rows)},
        "height": {"step": _STEP},
        "encoding": {"y": category(_labels(rows)), "x": x},
        "layer": [
            {
                "mark": {"type": "bar", "color": BLUE, "height": {"band": 0.72}},
                "encoding": {
                    "x": {
                        **x,
                        "scale": scale,
                        "axis": {"title": title, "tickMinStep": 1, "tickCount": 5},
                    }
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": "count", "type": "quantitative", "format": ",d"}},
            },
        ],
    }
    return lite_svg(spec, label)


def stacked(
    rows: Rows,
    *,
    parts: Mapping[str, str],
    part_titles: Mapping[str, str],
    title: str,
    label: str,
    normalized: bool = False,
) -> str:
    """Draw one horizontal bar for each `label`, divided by `part`.

    Args:
        rows: of `label`, `part` and `count`.
        parts: the colour of each part, in the order in which they are stacked.
        part_titles: what the legend calls each part.
        normalized: every bar has the full length, and the axis is a share.
    """
    order = [part for part in parts if any(row["part"] == part for row in rows)]
    values = [
        {**row, "part": part_titles[row["part"]], "order": order.index(row["part"])} for row in rows
    ]
    axis = share_axis(title) if normalized else {"title": title, "tickMinStep": 1, "tickCount": 5}
    spec = {
        "data": {"values": values},
        "height": {"step": _STEP + 4},
        # A white edge separates the parts for those who do not tell their colours apart.
        "mark": {"type": "bar", "stroke": "white", "strokeWidth": 1, "height": {"band": 0.76}},
        "encoding": {
            "y": category(_labels(rows)),
            "x": {
                "field": "count",
                "type": "quantitative",
                "stack": "normalize" if normalized else "zero",
                "axis": axis,
            },
            "order": {"field": "order"},
            "color": {
                "field": "part",
                "type": "nominal",
                "sort": [part_titles[part] for part in order],
                "scale": {
                    "domain": [part_titles[part] for part in order],
                    "range": [parts[part] for part in order],
                },
                "legend": None,
            },
        },
    }
    return legend({part_titles[part]: parts[part] for part in order}) + lite_svg(spec, label)


def columns_over_time(
    rows: Rows,
    *,
    parts: Mapping[str, str],
    part_titles: Mapping[str, str],
    title: str,
    label: str,
) -> str:
    """Draw one column for each `label` (an hour or a day), divided by `part`."""
    order = [part for part in parts if any(row["part"] == part for row in rows)]
    values = [
        {**row, "part": part_titles[row["part"]], "order": order.index(row["part"])} for row in rows
    ]
    spec = {
        "data": {"values": values},
        "height": 190,
        "mark": {"type": "bar", "stroke": "white", "strokeWidth": 1, "width": {"band": 0.84}},
        "encoding": {
            "x": {
                "field": "label",
                "type": "ordinal",
                "sort": None,
                "axis": {"title": None, "labelAngle": 0, "labelOverlap": "greedy"},
            },
            "y": {
                "field": "count",
                "type": "quantitative",
                "stack": "zero",
                "axis": {"title": title, "tickMinStep": 1, "tickCount": 5},
            },
            "order": {"field": "order"},
            "color": {
                "field": "part",
                "type": "nominal",
                "scale": {
                    "domain": [part_titles[part] for part in order],
                    "range": [parts[part] for part in order],
                },
                "legend": None,
            },
        },
    }
    return legend({part_titles[part]: parts[part] for part in order}) + lite_svg(spec, label)


def shares_with_interval(rows: Rows, *, title: str, label: str) -> str:
    """Draw the `share` of each `label` as a point on its interval from `low` to `high`."""
    x = {"type": "quantitative", "scale": {"domainMin": 0}}
    y = category(_labels(rows))
    # A point at 0 would cover the end of its label otherwise.
    y["axis"]["labelPadding"] = 8
    spec = {
        "data": {"values": list(rows)},
        "height": {"step": 18},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "rule", "color": VERMILLION, "strokeWidth": 3, "opacity": 0.45},
                "encoding": {
                    "x": {**x, "field": "low", "axis": share_axis(title)},
                    "x2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55, "color": INK},
                "encoding": {"x": {**x, "field": "share"}},
            },
        ],
    }
    return lite_svg(spec, label)
