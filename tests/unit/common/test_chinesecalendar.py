"""`catalogue/holidays.yaml` agrees with the package chinesecalendar in every year that both know.

The package's data are entered by others from the same notices of the State Council.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import chinese_calendar
from chinese_calendar.constants import holidays as days_of_the_package

from tongban_common.catalogue.holidays import CalendarStatus, load_holidays

HOLIDAYS = load_holidays(Path(__file__).parents[3] / "catalogue")
_SATURDAY = 6
THEIRS = {day.year for day in days_of_the_package}
BOTH = sorted(
    year
    for year, known in HOLIDAYS.known.items()
    if known is CalendarStatus.ARRANGED and year in THEIRS
)


def test_every_arranged_year_of_the_past_is_known_to_both() -> None:
    """A package that knows no year of ours would leave the next test without a day."""
    assert 2026 in BOTH


def test_every_day_is_worked_or_off_for_both() -> None:
    different = [
        day
        for year in BOTH
        for number in range(366)
        if (day := date(year, 1, 1) + timedelta(days=number)).year == year
        and (HOLIDAYS.weekday(day) < _SATURDAY) != chinese_calendar.is_workday(day)
    ]
    assert different == []


def test_weekend_days_worked_in_return_are_the_same_for_both() -> None:
    for year in BOTH:
        first = date(year, 1, 1)
        days = [first + timedelta(days=number) for number in range(365)]
        weekend = [day for day in days if day.isoweekday() >= _SATURDAY]
        ours = [day for day in weekend if HOLIDAYS.weekday(day) < _SATURDAY]
        assert ours == [day for day in weekend if chinese_calendar.is_workday(day)]
        assert ours, "every arrangement since 2010 has such days"
