"""Which days are off, which are worked in return, and when an office opens next."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tongban_common.catalogue.holidays import (
    CalendarStatus,
    Holidays,
    HolidaysFile,
    load_holidays,
    read_holidays,
)
from tongban_common.catalogue.models import ServiceHours, ServiceWindow
from tongban_common.catalogue.provinces import load_provinces
from tongban_common.catalogue.yamlfile import CatalogueError
from tongban_common.clock import CHINA

CATALOGUE = Path(__file__).parents[3] / "catalogue"
HOLIDAYS = load_holidays(CATALOGUE)
OFFICE = ServiceHours(
    text="工作日", text_en="Working days",
    windows=(ServiceWindow(days=(1, 2, 3, 4, 5), opens=time(8, 30), closes=time(17, 30)),),
)  # fmt: skip
DAILY = ServiceHours(
    text="每日", text_en="Daily",
    windows=(ServiceWindow(days=(1, 2, 3, 4, 5, 6, 7), opens=time(9), closes=time(17)),),
)  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def test_the_published_year_has_33_days_off_and_6_worked_in_return() -> None:
    file = read_holidays(CATALOGUE)
    assert file is not None
    year = file.years[2026]
    assert year.known is CalendarStatus.ARRANGED
    assert sum(len(holiday.days()) for holiday in year.days_off) == 33
    assert len(year.days_worked) == 6
    assert HOLIDAYS.known[2027] is CalendarStatus.STATUTORY


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-02-13T18:00", "2026-02-14T08:30"),  # a Saturday that is worked
        ("2026-02-14T17:30", "2026-02-24T08:30"),  # nine days of Spring Festival
        ("2026-02-27T18:00", "2026-02-28T08:30"),  # a Saturday that is worked
        ("2026-09-30T18:00", "2026-10-08T08:30"),  # the National Day week
        ("2026-10-09T18:00", "2026-10-10T08:30"),
        ("2026-03-06T18:00", "2026-03-09T08:30"),  # a weekend like any other
        ("2026-03-09T03:00", "2026-03-09T08:30"),
        ("2027-02-05T10:00", "2027-02-09T08:30"),  # by the law alone
        ("2031-10-01T10:00", "2031-10-01T10:00"),  # nobody knows that year yet
    ],
)
def test_an_office_opens_on_the_next_day_that_is_worked(moment: str, opens: str) -> None:
    assert HOLIDAYS.next_opening(OFFICE, at(moment)) == at(opens)


def test_a_day_off_is_as_a_sunday() -> None:
    holiday = at("2026-10-01T10:00")
    assert HOLIDAYS.is_open(DAILY, holiday), "what is open on Sundays is open"
    assert not HOLIDAYS.is_open(OFFICE, holiday)
    assert HOLIDAYS.is_open(ServiceHours(text="全天", text_en="Always"), holiday)


def test_without_a_file_there_are_weekends_alone() -> None:
    assert Holidays().next_opening(OFFICE, at("2026-10-01T10:00")) == at("2026-10-01T10:00")
    assert Holidays().next_opening(OFFICE, at("2026-10-03T10:00")) == at("2026-10-05T08:30")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)))  # noqa: DTZ001 - made aware
def test_the_next_opening_is_the_first(moment: datetime) -> None:
    moment = moment.replace(tzinfo=CHINA)
    opens = HOLIDAYS.next_opening(OFFICE, moment)
    assert HOLIDAYS.is_open(OFFICE, opens)
    assert (opens == moment) == HOLIDAYS.is_open(OFFICE, moment)
    step = moment
    while step < opens:
        assert not HOLIDAYS.is_open(OFFICE, step)
        step += timedelta(minutes=30)


def test_ten_gateways_keep_hours_that_open() -> None:
    provinces = load_provinces(CATALOGUE)
    kept = [p.gateway.hours for p in provinces.values() if p.gateway.hours is not None]
    assert len(kept) == 10
    for hours in kept:
        assert HOLIDAYS.next_opening(hours, at("2026-10-01T10:00")) == at("2026-10-08T08:30")


YEAR = {"known": "arranged", "source": "s", "days_worked": []}


@pytest.mark.parametrize(
    "year",
    [
        {**YEAR, "days_off": [{"name": "a", "from": date(2025, 1, 1), "to": date(2025, 1, 1)}]},
        {**YEAR, "days_off": [{"name": "a", "from": date(2026, 1, 2), "to": date(2026, 1, 1)}]},
        {**YEAR, "days_off": [{"name": "a", "from": date(2026, 1, 1), "to": date(2026, 1, 2)}] * 2},
        {**YEAR, "days_off": [], "days_worked": [date(2026, 1, 5)]},  # a Monday
        {
            **YEAR,
            "days_off": [{"name": "a", "from": date(2026, 1, 3), "to": date(2026, 1, 4)}],
            "days_worked": [date(2026, 1, 4)],
        },
    ],
)
def test_impossible_calendar_is_refused(year: object) -> None:
    with pytest.raises(ValidationError):
        HolidaysFile.model_validate({"years": {2026: year}})


def test_mistake_in_the_file_is_reported_with_its_line(tmp_path: Path) -> None:
    text = (CATALOGUE / "holidays.yaml").read_text()
    wrong = text.replace("2026-05-09", "2026-05-08")
    (tmp_path / "holidays.yaml").write_text(wrong)
    with pytest.raises(CatalogueError) as error:
        read_holidays(tmp_path)
    (problem,) = error.value.problems
    assert "2026-05-08" in problem.message
    assert problem.line > 1
