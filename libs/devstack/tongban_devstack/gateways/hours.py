"""Opening hours of the provinces that keep them: working days, 08:30 to 17:30 business time."""

from __future__ import annotations

from datetime import datetime, time, timedelta

OPENS = time(8, 30)
CLOSES = time(17, 30)
SATURDAY = 5


def is_open(moment: datetime) -> bool:
    """Whether the counter is open. Public holidays are not kept; weekends are."""
    return moment.weekday() < SATURDAY and OPENS <= moment.time() < CLOSES


def next_open(moment: datetime) -> datetime:
    """`moment` itself when the counter is open then, else when it opens next."""
    if is_open(moment):
        return moment
    day = moment
    if moment.time() >= CLOSES or moment.weekday() >= SATURDAY:
        day += timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day += timedelta(days=1)
    return day.replace(hour=OPENS.hour, minute=OPENS.minute, second=0, microsecond=0)
