"""Checking a form against its item's JSON Schema."""

from __future__ import annotations

from datetime import date
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tongban_common.domain import identity

FORMATS = FormatChecker(formats=["email"])
"""What `format` may say: email, date, year-month, resident-id, credit-code, mobile."""


@FORMATS.checks("date", raises=ValueError)
def _date(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and bool(date.fromisoformat(value)))


@FORMATS.checks("year-month", raises=ValueError)
def _year_month(value: object) -> bool:
    return not isinstance(value, str) or (
        len(value) == 7 and bool(date.fromisoformat(f"{value}-01"))
    )


@FORMATS.checks("resident-id")
def _resident_id(value: object) -> bool:
    return not isinstance(value, str) or not identity.resident_id_problems(value)


@FORMATS.checks("credit-code")
def _credit_code(value: object) -> bool:
    return not isinstance(value, str) or not identity.credit_code_problems(value)


@FORMATS.checks("mobile")
def _mobile(value: object) -> bool:
    return not isinstance(value, str) or not identity.mobile_problems(value)


def form_validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator of `Item.form` that also asserts formats. Costs about 0.1 ms: keep it per item
    and version."""
    return Draft202012Validator(schema, format_checker=FORMATS)
