"""Clean what a person typed, by the kind of the field, before it is validated.

On-screen keyboards, input methods and habit give full-width digits, small letters, spaces and
dashes in numbers, 2026年3月1日 for a date and 1,200元 for an amount. Each function returns the one
spelling that the API accepts, or text that the API refuses: cleaning never turns a valid value into
another. All functions are idempotent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from tongban_common.catalogue import FormRules
from tongban_intake.submission.values import normalise_text

_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\u30fc"
"""Characters that keyboards produce for a dash."""
_SEPARATORS = re.compile(f"[\\s{re.escape(_DASHES)}·•・‧_./()（）]")
_TO_DASH = str.maketrans(dict.fromkeys(_DASHES, "-"))
_SPACES = re.compile(r"\s+")
_COUNTRY = re.compile(r"^(?:\+|00)?86(?=1[3-9][0-9]{9}$)")
_DATE = re.compile(r"([0-9]{4})[-./年]([0-9]{1,2})[-./月]([0-9]{1,2})[日号]?")
_MONTH = re.compile(r"([0-9]{4})[-./年]([0-9]{1,2})月?")
_COMPACT_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_COMPACT_MONTH = re.compile(r"([0-9]{4})([0-9]{2})")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_CODE_FORMATS = frozenset({"resident-id", "credit-code", "mobile"})


def half_width(text: str) -> str:
    """Return ASCII for the full-width letters, digits and signs of a Chinese input method."""
    return "".join(
        unicodedata.normalize("NFKC", each) if "\uff01" <= each <= "\uff5e" else each
        for each in text.replace("\u3000", " ")
    )


def line(typed: str) -> str:
    """Return a name or a text: normalised, without white space at its ends."""
    return normalise_text(typed).strip()


def email(typed: str) -> str:
    """Return an e-mail address or another word of ASCII, without any white space."""
    return _SPACES.sub("", half_width(typed)).replace("。", ".")


def number(typed: str) -> str:
    """Return an ID number or credit code: no separators, capital letters."""
    return _SEPARATORS.sub("", half_width(typed)).upper()


def mobile(typed: str) -> str:
    """Return a mobile number without separators and without the country's code."""
    return _COUNTRY.sub("", number(typed))


def date(typed: str) -> str:
    """Return 2026-03-01 for 2026年3月1日, 2026/3/1 and 20260301."""
    return _dashed(typed, _DATE, _COMPACT_DATE)


def month(typed: str) -> str:
    """Return 2026-03 for 2026年3月, 2026/3 and 202603."""
    return _dashed(typed, _MONTH, _COMPACT_MONTH)


def _dashed(typed: str, *shapes: re.Pattern[str]) -> str:
    plain = _SPACES.sub("", half_width(typed))
    for shape in shapes:
        if found := shape.fullmatch(plain.translate(_TO_DASH)):
            year, *parts = found.groups()
            return "-".join([year, *(part.zfill(2) for part in parts)])
    return plain


def amount(typed: str) -> str:
    """Return 1200.50 for ￥1,200.50元. A comma is dropped between groups of three digits alone:
    1,5 may mean one and a half."""
    plain = _SPACES.sub("", half_width(typed)).lstrip("¥￥").rstrip("元")
    if plain[:1] in tuple(_DASHES):
        plain = "-" + plain[1:]
    return plain.replace(",", "") if _GROUPED.fullmatch(plain) else plain


def code(typed: str, schema: Mapping[str, Any]) -> str:
    """Return a number or code for a field with a pattern: the first of these forms that the schema
    accepts: as typed, without white space, in capitals, without separators, both."""
    plain = half_width(typed)
    if schema.get("format") == "mobile":
        return mobile(plain)
    bare = _SPACES.sub("", plain).translate(_TO_DASH)
    tries = [plain, plain.strip(), bare, bare.upper(), _SEPARATORS.sub("", bare), number(plain)]
    rules = FormRules({key: schema[key] for key in _JUDGED if key in schema})
    return next((each for each in tries if rules.accepts(each)), tries[-1])


_JUDGED = ("type", "pattern", "format", "minLength", "maxLength")
_BY_FORMAT: dict[str, Callable[[str], str]] = {"date": date, "year-month": month, "email": email}


def is_code(schema: Mapping[str, Any]) -> bool:
    """Return True for a number or code: text that has a pattern, or a format that is one."""
    return schema.get("type") == "string" and (
        ("pattern" in schema and schema.get("format") not in _BY_FORMAT)
        or schema.get("format") in _CODE_FORMATS
    )


def is_free(schema: Mapping[str, Any]) -> bool:
    """Return True for free text, which cleaning shortens at its ends only."""
    return schema.get("type") == "string" and not is_code(schema) and "format" not in schema


def value(typed: str, schema: Mapping[str, Any]) -> str:
    """Return what was typed in a field of this schema, cleaned by its kind."""
    if "enum" in schema:
        return typed.strip()
    if schema.get("type") in ("integer", "number"):
        return amount(typed)
    clean = _BY_FORMAT.get(schema.get("format", ""))
    if clean is not None:
        return clean(typed)
    return code(typed, schema) if is_code(schema) else line(typed)
