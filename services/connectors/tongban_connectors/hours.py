"""Close a province's gate outside of its service hours and on holidays."""

from __future__ import annotations

from datetime import datetime

from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import ServiceHours
from tongban_common.clock import BusinessClock
from tongban_connectors.gate import Block


class OpeningHours:
    """A source of `Gate` that blocks calls with an effect outside of the hours.

    Gateways answer look-ups round the clock, so these go on.
    """

    def __init__(self, hours: ServiceHours, holidays: Holidays, clock: BusinessClock) -> None:
        self._hours = hours
        self._holidays = holidays
        self._clock = clock
        self._opens: datetime | None = None

    def __call__(self) -> Block | None:
        """Return the block, with the next opening as its end; None within the hours."""
        now = self._clock.now()
        if self._opens is not None and now < self._opens:
            return Block("closed", self._opens, effects_only=True)
        self._opens = None
        if self._holidays.is_open(self._hours, now):
            return None
        self._opens = self._holidays.next_opening(self._hours, now)
        return Block("closed", self._opens, effects_only=True)
