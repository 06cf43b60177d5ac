"""Compute the opening hours of provinces from the catalogue, holidays included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import ServiceHours


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours of a province; times are business time."""

    hours: ServiceHours
    holidays: Holidays

    def is_open(self, moment: datetime) -> bool:
        """Return True if the province accepts calls at that time."""
        return self.holidays.is_open(self.hours, moment)

    def next_open(self, moment: datetime) -> datetime:
        """Return `moment` if the province is open then, else its next opening."""
        return self.holidays.next_opening(self.hours, moment)
