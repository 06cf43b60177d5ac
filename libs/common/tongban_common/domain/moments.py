"""Bound the moments that come from other processes, so that arithmetic on them cannot overflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def bounded(moment: datetime) -> datetime:
    """Return the moment, or the nearest one between `EARLIEST` and `LATEST`.

    Clamp instead of refusing: many systems write "for ever" as 9999-12-31, and refusing such a
    record would make a valid outcome a dead letter and hold its request.
    """
    if moment < EARLIEST:
        return EARLIEST
    return LATEST if moment > LATEST else moment


Moment = Annotated[AwareDatetime, AfterValidator(bounded)]
"""The type of a field with a moment from a topic. Its JSON schema is that of `AwareDatetime`."""


def later(moment: datetime, span: timedelta) -> datetime:
    """Return `moment + span`, at most `LATEST`; never raises OverflowError."""
    try:
        return min(moment + span, LATEST)
    except OverflowError:
        return LATEST if span > timedelta() else EARLIEST
