"""Draw distributions: quantiles as intervals, and the share that is done after each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tongban_report.charts.axes import duration_scale, share_axis
from tongban_report.charts.bars import category
from tongban_report.charts.palette import BLUE, INK, VERMILLION
from tongban_report.charts.rendering import legend, lite_svg
from tongban_report.wording import Words

Rows = Sequence[Mapping[str, Any]]
QUANTILES = ("p10", "p50", "p90", "p99")


def intervals(rows: Rows, words: Words, *, title: str, label: str) -> str:
    """Draw p10 to p90 of each `label` as a bar, p99 as the end of a thin line, p50 as a tick.

    Rows have `label` and the quantiles in milliseconds.
    """
    values = [{"label": row["label"], **{q: max(10, row[q]) for q in QUANTILES}} for row in rows]
    every = [value[q] for value in values for q in QUANTILES]
    x = {"type": "quantitative", **duration_scale(every, words, title)}
    y = category((value["label"] for value in values), grid=True)
    spec = {
        "data": {"values": values},
        "height": {"step": 19},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "color": VERMILLION},
                "encoding": {"x": {**x, "field": "p90"}, "x2": {"field": "p99"}},
            },
            {
                "mark": {"type": "tick", "thickness": 2, "size": 9, "color": VERMILLION},
                "encoding": {"x": {**x, "field": "p99"}},
            },
            {
                "mark": {"type": "bar", "height": 8, "color": BLUE},
                "encoding": {"x": {**x, "field": "p10"}, "x2": {"field": "p90"}},
            },
            {
                "mark": {
                    "type": "point", "shape": "diamond", "filled": True, "size": 85,
                    "color": INK, "stroke": "white", "strokeWidth": 1, "opacity": 1,
                },
                "encoding": {"x": {**x, "field": "p50"}},
            },
        ],
    }  # fmt: skip
    names = zip(words.quantiles(), (BLUE, INK, VERMILLION), strict=True)
    return legend(dict(names)) + lite_svg(spec, label)


def done_after(
    rows: Rows, words: Words, *, promise_ms: float, promise: str, title: str, label: str
) -> str:
    """Draw which `share` is done after `ms`, a line at the promised time, and its name beside it.

    `rows` are in the order of `ms`.
    """
    times = [max(10, row["ms"]) for row in rows]
    x = {"type": "quantitative", **duration_scale([*times, promise_ms], words, title)}
    spec = {
        "height": 200,
        "layer": [
            {
                "data": {
                    "values": [{"ms": max(10, row["ms"]), "share": row["share"]} for row in rows]
                },
                "mark": {
                    "type": "line",
                    "interpolate": "step-after",
                    "color": BLUE,
                    "strokeWidth": 2.5,
                },
                "encoding": {
                    "x": {**x, "field": "ms"},
                    "y": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1]},
                        "axis": share_axis(""),
                    },
                },
            },
            {
                "data": {"values": [{"ms": promise_ms, "name": promise}]},
                "encoding": {"x": {**x, "field": "ms"}},
                "layer": [
                    {
                        "mark": {
                            "type": "rule",
                            "color": VERMILLION,
                            "strokeWidth": 2,
                            "strokeDash": [6, 4],
                        }
                    },
                    {
                        "mark": {
                            "type": "text",
                            "align": "left",
                            "dx": 6,
                            "y": 184,
                            "color": "#A34700",
                        },
                        "encoding": {"text": {"field": "name"}},
                    },
                ],
            },
        ],
    }
    return lite_svg(spec, label)
