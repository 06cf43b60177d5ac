"""Turn the errors of pydantic and JSON Schema into texts for people: where, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tongban_common.catalogue import Fault
from tongban_intake.problems import FieldError, Kind, ProblemError
from tongban_intake.text import Text

Model = TypeVar("Model", bound=BaseModel)
_UNION_TAGS = frozenset({"person", "company"})
MISSING = Text("必填项，请填写", "Required")
UNKNOWN = Text("没有这一项，请核对名称", "There is no such field")


def pointer(path: Iterable[str | int], *, under: str = "") -> str:
    """Return the JSON Pointer (RFC 6901) of a path, below the pointer `under`."""
    return under + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


# --- pydantic

_TYPES = {
    "string": Text("应为文字", "A string is expected"),
    "bool": Text("应为true或false", "true or false is expected"),
    "int": Text("应为整数", "An integer is expected"),
    "dict": Text("应为对象", "An object is expected"),
}
_Limits = Mapping[str, Any]


def _expected(values: str) -> Text:
    """Return the text for pydantic's list of values, `'a', 'b' or 'c'`."""
    return Text(f"应为：{values.replace(' or ', '、').replace(', ', '、')}", f"One of {values}")


_PYDANTIC: dict[str, Callable[[_Limits], Text]] = {
    "missing": lambda _: MISSING,
    "extra_forbidden": lambda _: UNKNOWN,
    "union_tag_not_found": lambda _: Text(
        "必填项，应为：person、company", "One of person, company"
    ),
    "union_tag_invalid": lambda c: _expected(c["expected_tags"]),
    "literal_error": lambda c: _expected(c["expected"]),
    "enum": lambda c: _expected(c["expected"]),
    "too_short": lambda _: MISSING,
    "int_parsing": lambda _: _TYPES["int"],
    "model_type": lambda _: _TYPES["dict"],
    "model_attributes_type": lambda _: _TYPES["dict"],
    "string_too_short": lambda c: MISSING if c["min_length"] == 1 else _at_least(c["min_length"]),
    "string_too_long": lambda c: _at_most(c["max_length"]),
    "greater_than_equal": lambda c: Text(f"不小于{c['ge']}", f"At least {c['ge']}"),
    "less_than_equal": lambda c: Text(f"不大于{c['le']}", f"At most {c['le']}"),
}
_BAD_FORMAT = Text("格式不正确", "Not of the expected form")
_RIGHT = {
    "name": Text("应为姓名或名称，不能只有空格", "A name, in one line and not blank"),
    "email": Text("应为电子邮箱地址，如zhangsan@example.cn", "As in zhangsan@example.cn"),
    "assistant": Text(
        "应为大堂经理工号，由字母、数字或._-组成，如m-007",
        "The lobby manager's id: letters, digits and ._- as in m-007",
    ),
    "province": Text(
        "应为六位省级行政区划代码（GB/T 2260），如340000",
        "The six digits of a province in GB/T 2260, as in 340000",
    ),
}
"""Texts for a value that does not match its pattern, by the field's name."""


def _at_least(length: int) -> Text:
    return Text(f"至少{length}个字", f"At least {length} characters")


def _at_most(length: int) -> Text:
    return Text(f"最多{length}个字", f"At most {length} characters")


def validated(model: type[Model], body: dict[str, Any]) -> Model:
    """Return the body as an instance of its model.

    Raises:
        ProblemError: 422, with every wrong field.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ProblemError(Kind.INVALID, errors=of_model(found)) from None


def of_model(errors: Iterable[ErrorDetails]) -> Iterator[FieldError]:
    """Yield the errors of a pydantic model of the body."""
    for error in errors:
        path = [
            step
            for index, step in enumerate(error["loc"])
            # pydantic's path has the tag of a union, which is no step in the body.
            if not (index == 1 and error["loc"][0] == "applicant" and step in _UNION_TAGS)
        ]
        kind = error["type"]
        if kind.startswith("union_tag"):
            path.append("type")
        wording = _PYDANTIC.get(kind)
        if wording is not None:
            message = wording(error.get("ctx", {}))
        else:
            right = _RIGHT.get(str(path[-1]) if path else "", _BAD_FORMAT)
            message = _TYPES.get(kind.removesuffix("_type"), right)
        yield FieldError(pointer(path), message)


# --- JSON Schema

_SCHEMA_TYPES = {
    "string": _TYPES["string"],
    "integer": _TYPES["int"],
    "number": Text("应为数字", "A number is expected"),
    "boolean": _TYPES["bool"],
    "object": _TYPES["dict"],
    "array": Text("应为列表", "A list is expected"),
}
_FORMATS = {
    "date": Text("应为真实存在的日期，如2026-03-01", "A date that exists, as in 2026-03-01"),
    "year-month": Text("应为年月，如2026-03", "A month, as in 2026-03"),
    "resident-id": Text("身份证号码有误，请逐位核对", "No valid resident ID number"),
    "credit-code": Text("统一社会信用代码有误，请逐位核对", "No valid credit code"),
    "mobile": Text("应为11位手机号码", "A mobile number of 11 digits"),
    "email": Text("应为电子邮箱地址", "An e-mail address"),
}
_SCHEMA: dict[str, Callable[[Any, Mapping[str, Any]], Text]] = {
    "required": lambda *_: MISSING,
    "additionalProperties": lambda *_: UNKNOWN,
    "type": lambda value, _: _SCHEMA_TYPES.get(str(value), _BAD_FORMAT),
    "enum": lambda value, _: _one_of(value),
    "const": lambda value, _: Text(f"应为{value}", f"Must be {value}"),
    "minLength": lambda value, _: MISSING if value == 1 else _at_least(value),
    "maxLength": lambda value, _: _at_most(value),
    "minimum": lambda value, _: Text(f"不小于{value}", f"At least {value}"),
    "maximum": lambda value, _: Text(f"不大于{value}", f"At most {value}"),
    "exclusiveMinimum": lambda value, _: Text(f"应大于{value}", f"More than {value}"),
    "exclusiveMaximum": lambda value, _: Text(f"应小于{value}", f"Less than {value}"),
    "multipleOf": lambda value, _: _multiple(value),
    "uniqueItems": lambda *_: Text("不能重复", "No entry twice"),
    "minItems": lambda value, _: Text(f"至少{value}项", f"At least {value} entries"),
    "maxItems": lambda value, _: Text(f"最多{value}项", f"At most {value} entries"),
    "format": lambda value, _: _FORMATS.get(str(value), _BAD_FORMAT),
    "pattern": lambda _, schema: _by_example(schema),
}


def _one_of(values: list[Any]) -> Text:
    shown = list(map(str, values[:8]))
    more = len(values) > len(shown)
    return Text(
        f"请从给出的选项中选择：{'、'.join(shown)}{'等' if more else ''}",
        f"One of {', '.join(shown)}{' ...' if more else ''}",
    )


def _by_example(schema: Mapping[str, Any]) -> Text:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    examples = schema.get("examples") or []
    if not examples:
        return _BAD_FORMAT
    return Text(
        f"格式不正确，例如：{examples[0]}", f"Not of the expected form, as in {examples[0]}"
    )


def _multiple(step: float) -> Text:
    places = len(f"{step:.10f}".rstrip("0").partition(".")[2])
    if step != 10**-places:
        return Text(f"应为{step}的倍数", f"A multiple of {step}")
    if not places:
        return _TYPES["int"]
    return Text(f"最多{places}位小数", f"At most {places} decimals")


def of_schema(faults: Iterable[Fault], *, under: str) -> Iterator[FieldError]:
    """Yield the faults of a form, only the first one of each field."""
    seen: set[str] = set()
    for fault in faults:
        at = pointer(fault.path, under=under)
        if at in seen:
            continue
        seen.add(at)
        wording = _SCHEMA.get(fault.keyword)
        yield FieldError(at, wording(fault.expected, fault.schema) if wording else _BAD_FORMAT)
