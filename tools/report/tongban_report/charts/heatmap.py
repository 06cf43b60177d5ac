"""Draw counts of two categories as a heat map with the counts in its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tongban_report.charts.palette import INK, SEQUENTIAL
from tongban_report.charts.rendering import extent, lite_svg


def heatmap(rows: Sequence[Mapping[str, Any]], *, title: str, label: str) -> str:
    """Draw one cell for each row of `column`, `row` and `count`; both axes keep the rows' order."""
    most = max((row["count"] for row in rows), default=1)
    cell = {
        "x": {
            "field": "column",
            "type": "nominal",
            "sort": None,
            "axis": {"title": title, "orient": "top", "labelAngle": 0, "domain": False,
                     "ticks": False},
        },
        "y": {
            "field": "row",
            "type": "nominal",
            "sort": None,
            "axis": {
                "title": None, "domain": False, "ticks": False,
                "minExtent": extent(row["row"] for row in rows),
            },
        },
    }  # fmt: skip
    spec = {
        "data": {"values": list(rows)},
        "height": {"step": 26},
        "encoding": cell,
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 2},
                "encoding": {
                    "color": {
                        "field": "count",
                        "type": "quantitative",
                        # By the root, so that one large cell does not make all others pale.
                        "scale": {"type": "sqrt", "range": list(SEQUENTIAL), "domain": [0, most]},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text"},
                "encoding": {
                    "text": {"field": "count", "type": "quantitative", "format": ",d"},
                    "color": {
                        "condition": {"test": f"datum.count > {most} * 0.22", "value": "white"},
                        "value": INK,
                    },
                },
            },
        ],
    }
    return lite_svg(spec, label)
