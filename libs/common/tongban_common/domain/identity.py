"""Check the numbers that identify people and companies, and explain what is wrong with them.

GB 11643 (resident ID number), GB 32100 (unified social credit code), mobile numbers of the
mainland, and, loosely, the documents of people without a resident ID. No register is queried: a
number that passes is well-formed, and may never have been issued. No function raises on bad input,
and none logs it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from stdnum.cn import ric, uscc

from tongban_common.clock import CHINA

PROVINCE_DIGITS = frozenset(
    map(str, (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55)))
) | frozenset(map(str, (*range(61, 66), 71, 81, 82, 83)))
"""First two digits of GB/T 2260; 81 to 83 are those of residence permits (港澳台居民居住证).

Only these two digits are checked. The table of counties in python-stdnum would refuse the many
people whose number has a county code that is newer or older than their year of birth.
"""

CREDIT_CODE_REGIONS = PROVINCE_DIGITS | {"10", "66", "99"}
"""Regions in credit codes. 10, 66 and 99 are no provinces of GB/T 2260 and are in use: for central
authorities, the Xinjiang Production and Construction Corps, and registers without a region."""

_RESIDENT_ID = re.compile(r"[0-9]{17}[0-9X]")
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{10}")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_EARLIEST_BIRTH = date(1880, 1, 1)


class ValueProblem(NamedTuple):
    """A problem of a value and its correction, for the person at the kiosk."""

    zh: str
    en: str


def resident_id_problems(number: str, *, today: date | None = None) -> list[ValueProblem]:
    """Return the problems of a resident ID number (GB 11643); an empty list if it is valid.

    A lower-case x as check digit is a problem, because events carry one spelling. `today` bounds
    the birth date; its default is the date in China by the wall clock.
    """
    if not _RESIDENT_ID.fullmatch(number):
        return [
            ValueProblem(
                "身份证号码应为18位：前17位是数字，最后一位是数字或大写字母X",
                "A resident ID number has 18 characters: 17 digits, then a digit or a capital X",
            )
        ]
    problems = []
    if number[:2] not in PROVINCE_DIGITS:
        problems.append(
            ValueProblem(
                "身份证号码前两位应为省级行政区划代码（GB/T 2260），如31代表上海",
                "The first two digits must be a province of GB/T 2260, such as 31 for Shanghai",
            )
        )
    if not _born(number, today):
        problems.append(
            ValueProblem(
                "身份证号码第7至14位应为真实存在的出生日期，格式为年月日，如19900307",
                "Digits 7 to 14 must be a birth date that exists, as in 19900307",
            )
        )
    if ric.calc_check_digit(number) != number[-1]:
        problems.append(
            ValueProblem(
                "身份证号码校验位不符，请逐位核对号码（末位应由前17位按GB 11643计算得出）",
                "The check digit does not fit the 17 digits before it (GB 11643): compare each",
            )
        )
    return problems


def credit_code_problems(code: str) -> list[ValueProblem]:
    """Return the problems of a unified social credit code (GB 32100); an empty list if it is valid.

    The inner check digit of the subject number (GB 11714) is not checked: early codes were issued
    without it and are still in use.
    """
    if not _CREDIT_CODE.fullmatch(code):
        return [
            ValueProblem(
                "统一社会信用代码应为18位数字或大写字母（不含I、O、S、V、Z），第3至8位为数字",
                "A unified social credit code has 18 digits or capital letters other than I, O, S, "
                "V and Z; characters 3 to 8 are digits",
            )
        ]
    problems = []
    if code[2:4] not in CREDIT_CODE_REGIONS:
        problems.append(
            ValueProblem(
                "统一社会信用代码第3至8位应为登记机关的行政区划代码（GB/T 2260），如310000",
                "Characters 3 to 8 must be the registering region of GB/T 2260, such as 310000",
            )
        )
    if uscc.calc_check_digit(code[:17]) != code[-1]:
        problems.append(
            ValueProblem(
                "统一社会信用代码校验位不符，请逐位核对代码（末位应由前17位按GB 32100计算得出）",
                "The check character does not fit the 17 before it (GB 32100): compare each",
            )
        )
    return problems


def mobile_problems(phone: str) -> list[ValueProblem]:
    """Return the problems of a mainland mobile number, without country code and separators."""
    if _MOBILE.fullmatch(phone):
        return []
    return [
        ValueProblem(
            "手机号码应为11位数字，以13至19开头，如13800001234",
            "A mobile number has 11 digits and begins with 13 to 19, as in 13800001234",
        )
    ]


class _Loose(NamedTuple):
    pattern: re.Pattern[str]
    problem: ValueProblem


_LOOSE = {
    "passport": _Loose(
        re.compile(r"[0-9A-Z]{5,17}"),
        ValueProblem(
            "护照号码应为5至17位大写字母或数字",
            "A passport number has 5 to 17 capital letters or digits",
        ),
    ),
    "hk_macau_permit": _Loose(
        re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?"),
        ValueProblem(
            "港澳居民来往内地通行证号码应以H或M开头，后接8位或10位数字",
            "A permit of Hong Kong or Macau is H or M, then 8 or 10 digits",
        ),
    ),
    "taiwan_permit": _Loose(
        re.compile(r"[0-9]{8}|[0-9]{10}[0-9A-Z]?"),
        ValueProblem(
            "台湾居民来往大陆通行证号码应为8位数字（旧版为10位数字，可带一位字母或数字）",
            "A permit of Taiwan has 8 digits (older ones 10, with an optional letter or digit)",
        ),
    ),
}
_FOREIGN_OLD = re.compile(r"[A-Z]{3}[0-9]{12}")
_FOREIGN_NEW = re.compile(r"9[0-9]{16}[0-9X]")
_FOREIGN_PROBLEM = ValueProblem(
    "外国人永久居留身份证号码应为以9开头的18位号码，或旧版3位大写字母加12位数字，校验位须相符",
    "A foreign permanent resident's number has 18 characters and begins with 9, or is the older 3 "
    "capital letters and 12 digits; its check digit must fit",
)


def _foreign_resident_problems(number: str, *, today: date | None = None) -> list[ValueProblem]:
    if _FOREIGN_OLD.fullmatch(number) or _is_new_foreign(number, today):
        return []
    return [_FOREIGN_PROBLEM]


def _is_new_foreign(number: str, today: date | None) -> bool:
    """Return True for a number of cards of 2023 and later, which are numbered like resident IDs: 9,
    two digits of the province that issued the first card, three of the country (GB/T 2659), birth
    date, serial, check digit."""
    return (
        _FOREIGN_NEW.fullmatch(number) is not None
        and number[1:3] in PROVINCE_DIGITS
        and _born(number, today)
        and ric.calc_check_digit(number) == number[-1]
    )


def _born(number: str, today: date | None) -> bool:
    birth = _birth_date(number)
    return birth is not None and _EARLIEST_BIRTH <= birth <= (today or datetime.now(CHINA).date())


def _loose_problems(id_type: str) -> Callable[..., list[ValueProblem]]:
    pattern, problem = _LOOSE[id_type]
    return lambda number, **_: [] if pattern.fullmatch(number) else [problem]


_BY_TYPE: dict[str, Callable[..., list[ValueProblem]]] = {
    "resident_id": resident_id_problems,
    "foreign_resident_id": _foreign_resident_problems,
    **{id_type: _loose_problems(id_type) for id_type in _LOOSE},
}
ID_TYPES = tuple(_BY_TYPE)
"""The values of `id_type` in the HTTP API."""


def id_number_problems(
    id_type: str, number: str, *, today: date | None = None
) -> list[ValueProblem]:
    """Return the problems of the number of a document of this type, or of the type itself.

    `today` bounds birth dates, as in `resident_id_problems`.
    """
    check = _BY_TYPE.get(id_type)
    if check is None:
        known = ", ".join(ID_TYPES)
        return [
            ValueProblem(f"证件类型应为以下之一：{known}", f"The document type is one of {known}")
        ]
    return check(number, today=today)


def _birth_date(number: str) -> date | None:
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


AGE_BANDS = (
    (16, "0-15"),
    (18, "16-17"),
    (30, "18-29"),
    (45, "30-44"),
    (60, "45-59"),
    (75, "60-74"),
)
"""Upper bound (exclusive, years) and name of each band; the band above the last is `75+`."""
_BAND_BOUNDS = [bound for bound, _ in AGE_BANDS]
_BAND_NAMES = [*(name for _, name in AGE_BANDS), "75+"]


def age_band(id_number: str, today: date) -> str:
    """Return the name in `AGE_BANDS` for the holder of a resident ID number on `today`.

    Analysts get a band and never a date. The band of other documents, and of numbers without a
    valid birth date, is `unknown`.
    """
    birth = _birth_date(id_number) if _RESIDENT_ID.fullmatch(id_number) else None
    if birth is None or birth > today:
        return "unknown"
    age = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
    return _BAND_NAMES[bisect_right(_BAND_BOUNDS, age)]
