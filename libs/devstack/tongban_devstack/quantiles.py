"""Compute quantiles of latencies, and write the values of reports."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds; zeros for fewer than two values."""
    if len(seconds) < 2:
        return {"p50": 0.0, "p99": 0.0}
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(cuts[49] * 1000, 1), "p99": round(cuts[98] * 1000, 1)}


def in_words(value: object) -> str:
    """Return a report's value for a cell of a table; a mapping becomes `name value  name value`."""
    if isinstance(value, dict):
        return "  ".join(f"{name} {part}" for name, part in value.items())
    return str(value)
