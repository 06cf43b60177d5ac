"""Say numbers, durations and names in the language of a reader: Chinese or English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LANGUAGES = ("zh", "en")
_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))
_UNITS_ZH = {"d": "天", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒"}

Names = Mapping[tuple[str, str], tuple[str, str]]
"""Chinese and English names of codes: `("province", "310000")` is `("上海", "Shanghai")`."""


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return all texts of the report: by key, then by language."""
    found: dict[str, dict[str, str]] = yaml.safe_load(
        files("tongban_report").joinpath("texts.yaml").read_text("utf-8")
    )
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """One language of the report, and the names of the codes that facts contain."""

    language: str
    names: Names = field(default_factory=dict)

    def text(self, key: str, **values: object) -> str:
        """Return the text `key` of `texts.yaml` with `values` put in.

        Raises:
            KeyError: there is no such text, or a value is missing.
        """
        return texts()[key][self.language].format(**values)

    def has(self, key: str) -> bool:
        """Return True if `texts.yaml` has the text `key`."""
        return key in texts()

    def name(self, kind: str, code: str | None) -> str:
        """Return the name of a code: `name("province", "310000")` is `Shanghai`.

        A code without a name is its own name, so that new codes are shown; None is "not stated".
        """
        if code is None:
            own = f"{kind}.null"
            return self.text(own if self.has(own) else "none")
        key = f"{kind}.{code}"
        if self.has(key):
            return self.text(key)
        known = self.names.get((kind, code))
        return known[LANGUAGES.index(self.language)] if known else code

    def duration(self, ms: float | None) -> str:
        """Return a duration in the largest unit that it fills: `850 ms`, `2.3 s`, `4 h`."""
        if ms is None:
            return "–"
        for unit, size in _UNITS_MS:
            # 59.96 s is 60 s once it is rounded, which is said as 1 min.
            if round(ms / size, 1) >= 1 or unit == "ms":
                amount = ms / size
                number = f"{amount:.0f}" if amount >= 10 or unit == "ms" else f"{amount:.1f}"
                number = number.removesuffix(".0")
                return f"{number} {_UNITS_ZH[unit] if self.language == 'zh' else unit}"
        raise AssertionError("every duration has a unit")

    def count(self, number: float | None) -> str:
        """Return a count with commas between thousands."""
        return "–" if number is None else f"{number:,.0f}"

    def share(self, share: float | None) -> str:
        """Return a share in percent, with a decimal; neither 0 % nor 100 % by rounding."""
        if share is None:
            return "–"
        percent = 100 * share
        if 0 < percent < 0.1:
            return "< 0.1%"
        if 99.9 < percent < 100:
            return "> 99.9%"
        return f"{percent:.1f}%".replace(".0%", "%")

    def quantiles(self) -> tuple[str, str, str]:
        """Return what the legend of a chart of quantiles calls its bar, its mark and its line."""
        return (
            self.text("quantile.middle"),
            self.text("quantile.median"),
            self.text("quantile.tail"),
        )

    def cell(self, kind: str, value: Any) -> str:
        """Return a table's cell; `kind` is that of `Column`."""
        if kind == "number":
            return "–" if value is None else f"{value:.2f}"
        if kind in {"count", "share", "duration"}:
            said: str = getattr(self, kind)(value)
            return said
        if kind == "day":
            return f"{value:%Y-%m-%d}"
        return self.name(kind, None if value is None else str(value))
