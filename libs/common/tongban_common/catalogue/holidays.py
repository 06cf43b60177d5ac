"""Public holidays of China (`holidays.yaml`), and service hours that observe them.

In November the State Council publishes the days off of the next year, and the weekend days that are
worked in return. A year without data has its weekends alone.
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
"""Most days without an opening before hours count as never open; holidays have at most ten days."""


class CalendarStatus(StrEnum):
    """The completeness of a year's arrangement."""

    ARRANGED = "arranged"
    """All of it, as published by the State Council."""
    STATUTORY = "statutory"
    """Only the days that the law fixes, not the days off that join them to weekends."""


class DaysOff(CatalogueModel):
    """One holiday, from its first to its last day."""

    name: str
    first: date = Field(alias="from")
    last: date = Field(alias="to")

    def days(self) -> list[date]:
        """Return each of its days."""
        return [
            self.first + timedelta(days=ahead) for ahead in range((self.last - self.first).days + 1)
        ]


class Year(CatalogueModel):
    """The arrangement of one year."""

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
    """The content of `holidays.yaml`."""

    years: dict[int, Year]

    @model_validator(mode="after")
    def _in_their_year(self) -> HolidaysFile:
        for number, year in self.years.items():
            days = [day for holiday in year.days_off for day in holiday.days()]
            if wrong := [day for day in (*days, *year.days_worked) if day.year != number]:
                raise ValueError(f"{wrong[0]} stands under {number}")
        return self


class Holidays:
    """Maps dates to the weekday that they count as; without a file only weekends are off."""

    def __init__(self, file: HolidaysFile | None = None) -> None:
        years = file.years if file is not None else {}
        self._off = {
            day for year in years.values() for holiday in year.days_off for day in holiday.days()
        }
        self._worked = {day for year in years.values() for day in year.days_worked}
        self.known = {number: year.known for number, year in years.items()}

    def weekday(self, day: date) -> int:
        """Return the ISO weekday that a day counts as.

        A day off counts as Sunday, a weekend day that is worked in return as Monday.
        """
        if day in self._off:
            return _SUNDAY
        return _MONDAY if day in self._worked else day.isoweekday()

    def is_open(self, hours: ServiceHours, at: datetime) -> bool:
        """Return True if service hours that observe holidays are open; `at` is in China's time."""
        if not hours.windows:
            return True
        weekday, moment = self.weekday(at.date()), at.time()
        return any(
            weekday in window.days and window.opens <= moment < window.closes
            for window in hours.windows
        )

    def next_opening(self, hours: ServiceHours, at: datetime) -> datetime:
        """Return `at` if open, else the next opening, in the time zone of `at`.

        Raises:
            ValueError: the hours never open.
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
    """Return the content of a catalogue's `holidays.yaml`; None if it has none.

    Raises:
        CatalogueError: the file is wrong.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    return typed(read(path, FILE), FILE, HolidaysFile)


def load_holidays(directory: Path | None = None) -> Holidays:
    """Return the holidays of the catalogue that `provinces.find_directory` finds.

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: the file is wrong.
    """
    return Holidays(read_holidays(find_directory(directory)))
