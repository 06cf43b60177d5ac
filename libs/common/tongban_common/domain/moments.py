"""Moments that come from outside this process, kept where arithmetic on them cannot overflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def bounded(moment: datetime) -> datetime:
    """Return the moment, or the nearest one between `EARLIEST` and `LATEST`.

    Clamped and not refused: "for ever" is often written as 9999-12-31, and to refuse the record
    that says so would put a valid outcome into the dead letters and hold its request.
    """
    if moment < EARLIEST:
        return EARLIEST
    return LATEST if moment > LATEST else moment


Moment = Annotated[AwareDatetime, AfterValidator(bounded)]
"""A field for a moment read from a topic. Its JSON schema is that of `AwareDatetime`."""


def later(moment: datetime, span: timedelta) -> datetime:
    """Return `moment + span`, at most `LATEST`; never raises OverflowError."""
    try:
        return min(moment + span, LATEST)
    except OverflowError:
        return LATEST if span > timedelta() else EARLIEST
