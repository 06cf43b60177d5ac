"""Opening hours of the provinces that keep them: as the catalogue says, holidays included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import ServiceHours


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When a province's counter is open; moments are business time."""

    hours: ServiceHours
    holidays: Holidays

    def is_open(self, moment: datetime) -> bool:
        """Whether it takes anything in at that moment."""
        return self.holidays.is_open(self.hours, moment)

    def next_open(self, moment: datetime) -> datetime:
        """`moment` itself when the counter is open then, else when it opens next."""
        return self.holidays.next_opening(self.hours, moment)
