"""Define the colours of the report.

They are of the set of Okabe and Ito, made for colour blindness, as far as they have a contrast of
3:1 with white (WCAG 2.1, 1.4.11). `tests/unit/report/test_palette.py` measures the contrast and the
least distance of any two under protanopia, deuteranopia and tritanopia.
"""

from __future__ import annotations

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#B0609A"
"""Darker than Okabe and Ito's #CC79A7, whose contrast with white is below 3:1 once printed."""
INK = "#1A1A1A"
GREY = "#4B5563"

CATEGORICAL = (BLUE, VERMILLION, GREEN, PURPLE, INK)
"""Colours of categories within one chart, in this order."""

CHANNELS = {"self_service": BLUE, "assisted": VERMILLION}
ENDINGS = {
    "completed": BLUE,
    "rejected": VERMILLION,
    "withdrawn": PURPLE,
    "expired": GREEN,
    "failed": INK,
    "open": GREY,
}
"""Colours of what becomes of a request; `open` are those without a final state."""

GRADES = {1: "#8C2D04", 2: "#D9692B", 3: "#8A8F98", 4: "#4F9BD0", 5: "#084594"}
"""Diverging, from unhappy to happy. The labels carry the grade, so a chart never needs the hue."""

SEQUENTIAL = ("#EAF2FA", "#08306B")
"""Ends of the scale of heat maps: light is few, dark is many, also in grey."""
