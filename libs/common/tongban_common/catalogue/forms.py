"""Checking a form against its item's JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import jsonschema_rs
import orjson
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


def form_acceptance(schema: dict[str, Any]) -> Callable[[Any], bool]:
    """Whether a form is valid, for the many that are: the same rules as those of
    `form_validator`, a hundred times as fast, without saying what is wrong."""
    formats: dict[str, Callable[..., bool]] = {
        name: partial(_holds, check) for name, (check, _) in FORMATS.checkers.items()
    }
    # It takes plain lists and dicts alone, not those of a YAML file with their lines.
    plain = orjson.loads(orjson.dumps(schema, default=list, option=orjson.OPT_PASSTHROUGH_SUBCLASS))
    return jsonschema_rs.Draft202012Validator(
        plain, formats=formats, validate_formats=True
    ).is_valid


def _holds(check: Callable[[object], bool], value: object) -> bool:
    try:
        return check(value)
    except ValueError:
        return False
