"""Map traditional Chinese characters to simplified ones, for searching.

The pairs are in `traditional.json`, which `python -m tools.keyboard` makes from OpenCC's. Where one
traditional character has several simplified ones, it has the usual one: a search needs no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources


def _load() -> Mapping[int, int]:
    pairs = json.loads(
        resources.files("tongban_common.catalogue").joinpath("traditional.json").read_text("utf-8")
    )
    return str.maketrans(pairs["traditional"], pairs["simplified"])


SIMPLIFIED: Mapping[int, int] = _load()
"""A table for `str.translate`."""
