"""Compute the months that a result covers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

MOST = 36
"""Maximum months; of a longer period the latest are shown."""
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_RECENT = re.compile(r"近([0-9]{1,2})个月")


def months_of(form: Mapping[str, str], decided_at: datetime) -> list[str]:
    """Return months as `YYYY-MM`, ascending: those that the form requests, else the last twelve.

    `period_from` and `period_to` are the first and the last month (`2025-01`); `account_period` is
    a number of months (`近3个月`). None lies after the month of the decision.
    """
    present = decided_at.year * 12 + decided_at.month - 1
    recent = _RECENT.fullmatch(form.get("account_period", ""))
    last = min(_number(form.get("period_to")) or present - 1, present)
    first = _number(form.get("period_from")) or last - (int(recent[1]) if recent else 12) + 1
    return [
        f"{number // 12:04d}-{number % 12 + 1:02d}"
        for number in range(max(first, last - MOST + 1), last + 1)
    ]


def _number(month: str | None) -> int | None:
    """Return the months since year 0; None if the text is no month."""
    match = _MONTH.fullmatch(month or "")
    return int(match[1]) * 12 + int(match[2]) - 1 if match else None
