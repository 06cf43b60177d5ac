"""Public holidays of China, as data (`holidays.yaml`), and service hours that keep them.

The State Council arranges each year's days off in November of the year before, and which weekend
days are worked in return. A year that nobody has entered has its weekends and nothing else.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import Field, model_validator

from tongban_common.catalogue.models import CatalogueModel, ServiceHours
from tongban_common.catalogue.provinces import find_directory, typed
from tongban_common.catalogue.yamlfile import read

FILE = "holidays.yaml"
_MONDAY, _SATURDAY, _SUNDAY = 1, 6, 7
_LONGEST_CLOSED = 40
"""Days ahead in which hours that are kept at all must open: holidays are ten days at most."""


class CalendarStatus(StrEnum):
    """How much is known of a year."""

    ARRANGED = "arranged"
    """All of it, as the State Council published it."""
    STATUTORY = "statutory"
    """The days that the law fixes; not how they are joined to weekends."""


class DaysOff(CatalogueModel):
    """One holiday, first and last day."""

    name: str
    first: date = Field(alias="from")
    last: date = Field(alias="to")

    def days(self) -> list[date]:
        """Each of them."""
        return [
            self.first + timedelta(days=ahead) for ahead in range((self.last - self.first).days + 1)
        ]


class Year(CatalogueModel):
    """One year's arrangement."""

    known: CalendarStatus
    source: str
    days_off: tuple[DaysOff, ...]
    days_worked: tuple[date, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Year:
        off = [day for holiday in self.days_off for day in holiday.days()]
        if len(set(off)) != len(off):
            raise ValueError("a day is off twice")
        for holiday in self.days_off:
            if holiday.last < holiday.first:
                raise ValueError(f"{holiday.name} ends before it begins")
        for day in self.days_worked:
            if day.isoweekday() < _SATURDAY:
                raise ValueError(f"{day} is worked in return for nothing: it is no weekend day")
            if day in off:
                raise ValueError(f"{day} is both off and worked")
        return self


class HolidaysFile(CatalogueModel):
    """`holidays.yaml`."""

    years: dict[int, Year]

    @model_validator(mode="after")
    def _in_their_year(self) -> HolidaysFile:
        for number, year in self.years.items():
            days = [day for holiday in year.days_off for day in holiday.days()]
            if wrong := [day for day in (*days, *year.days_worked) if day.year != number]:
                raise ValueError(f"{wrong[0]} stands under {number}")
        return self


class Holidays:
    """Which day counts as which. Without a file: weekends alone."""

    def __init__(self, file: HolidaysFile | None = None) -> None:
        years = file.years if file is not None else {}
        self._off = {
            day for year in years.values() for holiday in year.days_off for day in holiday.days()
        }
        self._worked = {day for year in years.values() for day in year.days_worked}
        self.known = {number: year.known for number, year in years.items()}

    def weekday(self, day: date) -> int:
        """ISO week day that this day is lived as: a day off is a Sunday, whatever it is called, and
        a weekend day that is worked in return is a Monday."""
        if day in self._off:
            return _SUNDAY
        return _MONDAY if day in self._worked else day.isoweekday()

    def is_open(self, hours: ServiceHours, at: datetime) -> bool:
        """Whether service hours that keep holidays hold; `at` in China's time."""
        if not hours.windows:
            return True
        weekday, moment = self.weekday(at.date()), at.time()
        return any(
            weekday in window.days and window.opens <= moment < window.closes
            for window in hours.windows
        )

    def next_opening(self, hours: ServiceHours, at: datetime) -> datetime:
        """`at` itself when open, else the next moment that is, in the zone of `at`.

        Raises:
            ValueError: they never open.
        """
        if self.is_open(hours, at):
            return at
        for ahead in range(_LONGEST_CLOSED):
            day = at.date() + timedelta(days=ahead)
            weekday = self.weekday(day)
            openings = [
                opening
                for window in hours.windows
                if weekday in window.days
                and (opening := datetime.combine(day, window.opens, tzinfo=at.tzinfo)) > at
            ]
            if openings:
                return min(openings)
        raise ValueError(f"service hours {hours.text!r} do not open in {_LONGEST_CLOSED} days")


def read_holidays(directory: Path) -> HolidaysFile | None:
    """The file of a catalogue; None where it has none.

    Raises:
        CatalogueError: it is wrong.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    return typed(read(path, FILE), FILE, HolidaysFile)


def load_holidays(directory: Path | None = None) -> Holidays:
    """The holidays of a catalogue, found as `provinces.find_directory` finds it.

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: the file is wrong.
    """
    return Holidays(read_holidays(find_directory(directory)))
