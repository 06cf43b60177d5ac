"""Numbers that identify people and companies."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from tongban_common.domain import identity
from tongban_common.domain.identity import (
    age_band,
    credit_code_problems,
    id_number_problems,
    mobile_problems,
    resident_id_problems,
)

TODAY = date(2026, 3, 2)
BIRTHS = st.dates(date(1900, 1, 1), TODAY)


def number(place: str, born: date, serial: int) -> str:
    body = f"{place}{born:%Y%m%d}{serial:03d}"
    return body + ric.calc_check_digit(body + "0")


NUMBERS = st.builds(
    number,
    st.builds(
        lambda province, county: f"{province}{county:04d}",
        st.sampled_from(sorted(identity.PROVINCE_DIGITS)),
        st.integers(0, 9999),
    ),
    BIRTHS,
    st.integers(0, 999),
)
CODES = st.builds(
    lambda body: body + uscc.calc_check_digit(body),
    st.from_regex(r"[159Y][1239](1[1-5]|31|44)[0-9]{4}[0-9A-HJ-NPQRTUWXY]{9}", fullmatch=True),
)


@given(NUMBERS)
def test_well_formed_numbers_pass(value: str) -> None:
    assert resident_id_problems(value, today=TODAY) == []
    assert id_number_problems("resident_id", value) == []


@given(value=NUMBERS, at=st.integers(0, 16), by=st.integers(1, 9))
def test_every_mistyped_digit_of_an_id_number_is_noticed(value: str, at: int, by: int) -> None:
    wrong = value[:at] + str((int(value[at]) + by) % 10) + value[at + 1 :]
    assert resident_id_problems(wrong, today=TODAY)


@given(value=NUMBERS, at=st.integers(0, 16))
def test_exchanged_neighbours_are_noticed(value: str, at: int) -> None:
    wrong = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
    assume(wrong != value)
    assert resident_id_problems(wrong, today=TODAY)


@given(st.text(max_size=30))
@example("0000")
def test_any_text_gets_an_answer_in_both_languages(text: str) -> None:
    checks = [resident_id_problems, credit_code_problems, mobile_problems]
    found = [problem for check in checks for problem in check(text)]
    for id_type in (*identity.ID_TYPES, text):
        found += id_number_problems(id_type, text)
    assert found
    said_of_anything = {
        problem.zh + problem.en
        for check in (*checks, *(partial(id_number_problems, kind) for kind in identity.ID_TYPES))
        for problem in check("x")
    }
    for problem in found:
        assert any("\u4e00" <= character <= "\u9fff" for character in problem.zh)
        assert problem.en.isascii()
        # What was typed is personal data, and the answer may be logged or shown to others. It may
        # stand in what is said to everybody: as a part of an example.
        said = problem.zh + problem.en
        told = text in said and said not in said_of_anything
        assert len(text) < 4 or text in identity.ID_TYPES or not told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("31010119900307001", "18位"),
        ("31010119900307001x", "大写字母X"),
        ("３１０１０１１９９００３０７００１１", "18位"),
        (number("990101", date(1990, 3, 7), 1), "行政区划"),
        (number("310101", date(2026, 3, 3), 1), "出生日期"),
        ("310101199002300010", "出生日期"),
    ],
)
def test_message_names_the_valid_form(value: str, told: str) -> None:
    assert any(told in problem.zh for problem in resident_id_problems(value, today=TODAY))


def test_a_wrong_check_digit_is_the_only_problem_told() -> None:
    good = number("310101", date(1990, 3, 7), 1)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    (problem,) = resident_id_problems(wrong, today=TODAY)
    assert "校验位" in problem.zh


def test_a_leap_day_exists_only_in_leap_years() -> None:
    good = number("310101", date(2000, 2, 29), 1)
    assert resident_id_problems(good) == []
    body = "31010119000229001"
    assert resident_id_problems(body + ric.calc_check_digit(body + "0"))


def test_people_registered_under_codes_younger_than_they_are_pass() -> None:
    # python-stdnum refuses this one: 110221 was Changping county from 1982 to 1999 only.
    older = number("110221", date(1950, 5, 1), 3)
    assert not ric.is_valid(older)
    assert resident_id_problems(older) == []


@given(CODES)
def test_well_formed_credit_codes_pass(value: str) -> None:
    assert credit_code_problems(value) == []


@given(value=CODES, at=st.integers(0, 17), other=st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_every_mistyped_character_of_a_credit_code_is_noticed(
    value: str, at: int, other: str
) -> None:
    assume(value[at] != other)
    assert credit_code_problems(value[:at] + other + value[at + 1 :])


@pytest.mark.parametrize("region", ["100000", "310000", "660300", "710000", "810000", "990000"])
def test_credit_code_of_a_region_in_use_passes(region: str) -> None:
    body = f"91{region}MA1FL0001"
    assert credit_code_problems(body + uscc.calc_check_digit(body)) == []


@pytest.mark.parametrize("region", ["000000", "021000", "980000", "550000", "200000"])
def test_credit_code_of_no_region_is_refused(region: str) -> None:
    body = f"91{region}MA1FL0001"
    (problem,) = credit_code_problems(body + uscc.calc_check_digit(body))
    assert "3至8位" in problem.zh


@pytest.mark.parametrize("value", ["", "91110000600037341l", "9111000060003734IL", "9" * 17])
def test_malformed_credit_code_is_refused(value: str) -> None:
    assert credit_code_problems(value)


@pytest.mark.parametrize(
    ("id_type", "value", "valid"),
    [
        ("passport", "E12345678", True),
        ("passport", "e1", False),
        ("hk_macau_permit", "H12345678", True),
        ("hk_macau_permit", "M1234567890", True),
        ("hk_macau_permit", "A12345678", False),
        ("taiwan_permit", "12345678", True),
        ("taiwan_permit", "1234567890A", True),
        ("taiwan_permit", "1234567", False),
        ("foreign_resident_id", "CAN110180010101", True),
        ("foreign_resident_id", number("931124", date(1990, 3, 7), 1), True),
        (
            "foreign_resident_id",
            number("931124", date(1990, 3, 7), 1).replace("1990", "1991"),
            False,
        ),
        ("foreign_resident_id", number("999124", date(1990, 3, 7), 1), False),
        ("foreign_resident_id", number("931124", date(2190, 3, 7), 1), False),
        ("foreign_resident_id", number("931124", date(1990, 3, 7), 1) + "\n", False),
        ("foreign_resident_id", number("310101", date(1990, 3, 7), 1), False),
        ("passport", "E12345678\n", False),
        ("passport", "E１２３４５６７８", False),
        ("hk_macau_permit", "H123456789", False),
        ("taiwan_permit", "12345678\n", False),
        ("resident_id", number("810000", date(1990, 3, 7), 1), True),
        ("library_card", "1", False),
    ],
)
def test_other_documents_are_checked_loosely(id_type: str, value: str, valid: bool) -> None:
    assert (id_number_problems(id_type, value) == []) is valid


@pytest.mark.parametrize("value", ["13800001234", "19912345678"])
def test_mobile_numbers_pass(value: str) -> None:
    assert mobile_problems(value) == []


@pytest.mark.parametrize(
    "value", ["12800001234", "1380000123", "+8613800001234", "138 0000 1234", ""]
)
def test_malformed_mobile_number_is_refused(value: str) -> None:
    assert mobile_problems(value)


@pytest.mark.parametrize(
    ("born", "band"),
    [
        (date(2010, 3, 3), "0-15"),
        (date(2010, 3, 2), "16-17"),  # sixteen today
        (date(2008, 3, 2), "18-29"),
        (date(1996, 3, 2), "30-44"),
        (date(1966, 3, 3), "45-59"),
        (date(1966, 3, 2), "60-74"),
        (date(1940, 1, 1), "75+"),
        (TODAY + timedelta(days=1), "unknown"),
    ],
)
def test_age_bands(born: date, band: str) -> None:
    assert age_band(number("310101", born, 1), TODAY) == band


@pytest.mark.parametrize("value", ["E12345678", "", "310101199002300010"])
def test_without_a_birth_date_the_age_is_unknown(value: str) -> None:
    assert age_band(value, TODAY) == "unknown"
