"""Turn Vega and Vega-Lite specifications into SVG, without a browser and without network.

vl-convert brings Vega itself. The texts of an SVG stay texts: they are set in the reader's fonts,
can be searched and copied, and scale in print.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import vl_convert

from tongban_report.charts.palette import CATEGORICAL, GREY, INK
from tongban_report.errors import ChartError

Spec = dict[str, Any]

FONTS = (
    "Source Han Sans SC, Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
)
WIDTH = 640
"""Pixels of a chart with its axes: two thirds of the page on a screen, 150 mm on paper."""

_CONFIG: Spec = {
    "font": FONTS,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": "#E2E5E9",
        "domainColor": GREY,
        "tickColor": GREY,
        "labelLimit": 240,
    },
    "text": {"color": INK, "fontSize": 12},
    "range": {"category": list(CATEGORICAL)},
}
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_OPENING = re.compile(r"^<svg[^>]*>")
_LABELS = re.compile(r' (?:aria-label|aria-roledescription|aria-hidden|role)="[^"]*"')
_BACKGROUND = re.compile(r'<path class="(?:background|foreground)"[^>]*display="none"[^>]*/>')


def extent(labels: Iterable[str], *, size: float = 12) -> float:
    """Return the pixels that the longest of an axis' labels needs.

    Vega would measure with the fonts of this machine, which may have no Chinese one; the reader's
    has. Han characters and full-width punctuation are as wide as high.
    """
    return max((sum(_width(each) for each in label) * size for label in labels), default=0) + 6


def _width(character: str) -> float:
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.58


def legend(entries: Mapping[str, str]) -> str:
    """Return the legend of a chart as a list: colours by the names of what they stand for.

    It is HTML and not part of the chart, so that it wraps on a narrow screen.
    """
    items = "".join(
        f'<li><svg aria-hidden="true" width="12" height="12"><rect width="12" height="12" rx="2" '
        f'fill="{colour}"/></svg> {html.escape(name)}</li>'
        for name, colour in entries.items()
    )
    return f'<ul class="legend">{items}</ul>'


def lite_svg(spec: Spec, label: str) -> str:
    """Return a Vega-Lite chart as one `svg` element whose accessible name is `label`.

    `spec` is without `$schema`, `width` and `config`, which all charts share.
    """
    whole = {
        "width": WIDTH,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        **spec,
        "config": _CONFIG,
    }
    return _tidy(vl_convert.vegalite_to_svg(json.dumps(whole)), label)


def vega_svg(spec: Spec, label: str) -> str:
    """Return a Vega chart, for the kinds that Vega-Lite has no marks for."""
    return _tidy(vl_convert.vega_to_svg(json.dumps({"padding": 2, **spec})), label)


def _tidy(svg: str, label: str) -> str:
    """Give the chart one name and let it shrink with the page.

    The marks' own labels are dropped: the table beside the chart says the same in order, and a
    reader with a screen reader would otherwise pass a hundred marks to get to it.
    """
    size = _SIZE.search(svg)
    if size is None:
        raise ChartError("vl-convert has returned no SVG with a width and a height")
    width, height = size.groups()
    inner = _LABELS.sub("", _OPENING.sub("", svg, count=1))
    inner = _BACKGROUND.sub("", inner)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {width} {height}" style="max-width:{width}px">{inner}'
    )
