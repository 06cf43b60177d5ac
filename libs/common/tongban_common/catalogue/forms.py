"""Validate forms against their items' JSON Schema, and explain errors, with one library."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import jsonschema_rs
import orjson

from tongban_common.domain import identity
from tongban_common.errors import CommonError

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_SEVERAL_LINES_FROM = 200


def _is_date(value: str) -> bool:
    # `fromisoformat` reads 20260301 and 2026-W09-1 as well.
    if not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


FORMATS: dict[str, Callable[[str], bool]] = {
    "email": lambda value: _EMAIL.fullmatch(value) is not None,
    "date": _is_date,
    "year-month": lambda value: _is_date(f"{value}-01"),
    "resident-id": lambda value: not identity.resident_id_problems(value),
    "credit-code": lambda value: not identity.credit_code_problems(value),
    "mobile": lambda value: not identity.mobile_problems(value),
}
"""The check for each value of `format`; the library calls it for strings only."""


class FormSchemaError(CommonError, ValueError):
    """Raised for an unusable schema: no JSON Schema, an unknown format, or a pattern beyond RE2."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of a schema that a form breaks."""

    path: tuple[str | int, ...]
    """Location in the form; for a missing or unknown property that property itself."""
    keyword: str
    """The keyword of JSON Schema that is violated."""
    expected: Any
    """The keyword's value in the schema; None if the schema has none there."""
    schema: Mapping[str, Any]
    """The schema that contains the keyword."""


class FormRules:
    """The rules of one JSON Schema (draft 2020-12), compiled once. Formats are asserted.

    Compiling takes some 0.1 ms, validating some microseconds: keep one per item and version.
    Patterns are matched in linear time; `$` matches the end of the text alone, not before a last
    line feed.

    Raises:
        FormSchemaError: the schema cannot be used.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            # The compiler accepts plain lists and dicts alone, not those with line numbers.
            self._schema: dict[str, Any] = orjson.loads(
                orjson.dumps(schema, default=_plain, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
            )
            self._validator = jsonschema_rs.Draft202012Validator(
                self._schema,
                formats=FORMATS,
                validate_formats=True,
                ignore_unknown_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (TypeError, ValueError) as error:
            text = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
            raise FormSchemaError(text) from error

    def accepts(self, form: Any) -> bool:
        """Return True if no rule is broken."""
        return self._validator.is_valid(form)

    def faults(self, form: Any) -> Iterator[Fault]:
        """Yield the faults, by the same rules as `accepts`: none if and only if it returns True."""
        found = False
        for error in self._validator.iter_errors(form):
            found = True
            yield from self._faults_of(error)
        if not found and not self.accepts(form):
            yield Fault((), "", None, self._schema)

    def _faults_of(self, error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
        path = tuple(error.instance_path)
        *parents, keyword = [*error.schema_path] or [""]
        schema: Any = self._schema
        for step in parents:
            try:
                schema = schema[step]
            except (KeyError, IndexError, TypeError):
                schema = {}
        if not isinstance(schema, Mapping):
            schema = {}
        fault = Fault(path, str(keyword), schema.get(str(keyword)), schema)
        kind = error.kind
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
            yield Fault((*path, kind.property), "required", None, schema)
        elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
            for name in kind.unexpected:
                yield Fault((*path, name), "additionalProperties", None, schema)
        else:
            yield fault


_ABOUT_FIELDS = ("$schema", "$id", "$defs", "type", "properties", "patternProperties")
"""The keywords of a form's schema that concern single fields."""


def partial_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a supplement: the form's fields are checked, other fields are accepted.

    Rules about the whole form (`required`, `minProperties`, `dependentRequired`, `allOf`) are left
    out: the applicant submitted the other fields before.
    """
    return {name: schema[name] for name in _ABOUT_FIELDS if name in schema}


def has_lines(schema: Mapping[str, Any]) -> bool:
    """Return True if a text of this schema may have line breaks, and is shown on several lines."""
    return schema.get("type") == "string" and schema.get("maxLength", 0) > _SEVERAL_LINES_FROM


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in a JSON Schema")
