"""Find characters that the bundled fonts cannot show, and substitute them."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from typing import Any

GETA = "〓"
"""The traditional substitute of Chinese and Japanese typesetters for a missing character."""
_NAMED_AT_MOST = 50
_LINE_ENDS = frozenset("\t\n\v\f\r\u0085\u2028\u2029")
_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Default_Ignorable_Code_Point of Unicode: shown as nothing where a font has no glyph for it."""


@functools.cache
def bundled() -> frozenset[int]:
    """Return the code points with a glyph in the bundled fonts; the first call takes half a second.

    All faces of the collection have the same character map.
    """
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - only where a glyph is missing
    from noto_cjk_sans_otc import FONT_PATH  # noqa: PLC0415

    with TTFont(str(FONT_PATH), fontNumber=0, lazy=True) as font:
        return frozenset(font["cmap"].getBestCmap())


class Substitution:
    """Replaces every cluster of characters that the fonts lack by 〓, and lists them."""

    def __init__(self, known: frozenset[int]) -> None:
        self._known = known
        self._gone: dict[str, None] = {}

    @property
    def names(self) -> list[str]:
        """Return the code points of each replaced cluster, once each, in order."""
        names = [" ".join(f"U+{ord(each):04X}" for each in gone) for gone in self._gone]
        left_out = len(names) - _NAMED_AT_MOST
        return names if left_out <= 0 else [*names[:_NAMED_AT_MOST], f"等{len(names)}个"]

    def apply(self, value: Any) -> Any:
        """Return the same data with substitutes in all its texts."""
        match value:
            case str():
                return self._text(value)
            case list():
                return [self.apply(each) for each in value]
            case dict():
                return {name: self.apply(each) for name, each in value.items()}
            case _:
                return value

    def _text(self, text: str) -> str:
        if all(self._is_shown(sign) for sign in text):
            return text
        return "".join(self._cluster(cluster) for cluster in _clusters(text))

    def _cluster(self, cluster: str) -> str:
        if all(self._is_shown(sign) for sign in unicodedata.normalize("NFC", cluster)):
            return cluster  # the shaper composes it
        gone = "".join(sign for sign in cluster if not self._is_shown(sign))
        self._gone[gone] = None
        # Keep a base that has a glyph, and put the substitute for its missing marks behind it.
        return "".join(sign for sign in cluster if sign not in gone) + GETA

    def _is_shown(self, sign: str) -> bool:
        point = ord(sign)
        return (
            point in self._known
            or sign in _LINE_ENDS
            or any(first <= point <= last for first, last in _IGNORABLE)
        )


def _clusters(text: str) -> Iterator[str]:
    """Yield each base character together with the marks that follow it."""
    start = 0
    for place in range(1, len(text)):
        if unicodedata.category(text[place])[0] != "M":
            yield text[start:place]
            start = place
    if start < len(text):
        yield text[start:]
