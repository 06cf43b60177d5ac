"""Write the axes that several charts share: durations on a logarithmic scale, shares in percent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tongban_report.wording import Words

_TICKS_MS = (
    10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 6 * 3_600_000, 86_400_000,
    3 * 86_400_000, 10 * 86_400_000, 30 * 86_400_000,
)  # fmt: skip
_LEAST_MS = 10


def duration_scale(values: Sequence[float], words: Words, title: str) -> dict[str, Any]:
    """Return `scale` and `axis` of a channel of milliseconds, with ticks at whole units.

    The scale is logarithmic, since answers take from milliseconds to days; what is below 10 ms is
    drawn at 10 ms.
    """
    known = [max(_LEAST_MS, value) for value in values] or [1_000, 60_000]
    low = max((tick for tick in _TICKS_MS if tick <= min(known)), default=_LEAST_MS)
    high = min((tick for tick in _TICKS_MS if tick >= max(known)), default=max(known))
    if high <= low:
        high = min((tick for tick in _TICKS_MS if tick > low), default=low * 10)
    ticks = [tick for tick in _TICKS_MS if low <= tick <= high]
    names = {str(tick): words.duration(tick) for tick in ticks}
    return {
        "scale": {"type": "log", "domain": [low, high], "clamp": True, "nice": False},
        "axis": {
            "values": ticks,
            "labelExpr": f"{json.dumps(names, ensure_ascii=False)}[datum.value]",
            "title": title,
        },
    }


def share_axis(title: str) -> dict[str, Any]:
    """Return the axis of a share from 0 to 1, labelled in percent."""
    return {"format": ".0%", "title": title, "tickCount": 5}
