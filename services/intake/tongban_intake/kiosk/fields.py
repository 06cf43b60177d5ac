"""Turn an item's JSON Schema into fields of a page, and what was typed back into JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tongban_common.catalogue import Item
from tongban_common.catalogue.forms import has_lines
from tongban_common.clock import CHINA
from tongban_common.domain.identity import ID_TYPES
from tongban_intake.kiosk import cleaning, touch_keys
from tongban_intake.text import Text

Posted = Mapping[str, Sequence[str]]
Errors = Mapping[str, Text]
"""Texts of errors by JSON Pointer."""
NO_ERRORS: Errors = {}
Words = Text | str
"""A text of ours in both languages, or one of the catalogue, in Chinese alone."""

_RADIO_UP_TO = 6
"""Most options that are shown as radio buttons; more become a list."""
_PARTS = {"day": "ymd", "month": "ym"}
_YEARS_AHEAD = 6
_YEARS_BACK = 100
_FORMAT = re.compile(r"[，,]?格式为年[-月日年]*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,10})?")

ID_TYPE_NAMES = {
    "resident_id": Text("居民身份证", "Resident identity card"),
    "hk_macau_permit": Text("港澳居民来往内地通行证", "Mainland travel permit (Hong Kong, Macao)"),
    "taiwan_permit": Text("台湾居民来往大陆通行证", "Mainland travel permit (Taiwan)"),
    "passport": Text("护照", "Passport"),
    "foreign_resident_id": Text("外国人永久居留身份证", "Foreign permanent resident ID card"),
}
_NAME = Text("姓名", "Name")
_NAME_HINT = Text("与证件上的姓名一致", "As on the document")
_ID_TYPE = Text("证件类型", "Kind of document")
_ID_TYPE_HINT = Text("请选择您带来的证件", "The document that you have with you")
_ID_NUMBER = Text("证件号码", "Document number")
_ID_NUMBER_HINT = Text("身份证末位是字母的请填X", "An identity card may end with X")
_PHONE = Text("手机号码", "Mobile number")
_PHONE_HINT = Text("用于接收办理进度短信", "To receive messages about the progress")
_EMAIL = Text("电子邮箱", "E-mail")
_EMAIL_HINT = Text("没有可以不填", "May be left empty")
if set(ID_TYPE_NAMES) != set(ID_TYPES):
    raise RuntimeError("a document type has no name for the page")


@dataclass(frozen=True, slots=True)
class Option:
    """Holds a value that can be chosen, and its label."""

    value: str
    label: Words


@dataclass(frozen=True, slots=True)
class Field:
    """Describes an input of a page.

    `kind` is a type of HTML input, or radio, select, checks, textarea, day or month. The last two
    are lists of years, months and days, whose inputs are named `name` + `.y`, `.m` and `.d`.
    """

    name: str
    label: Words
    kind: str
    values: tuple[str, ...] = ()
    hint: Words = ""
    placeholder: Words = ""
    required: bool = True
    options: tuple[Option, ...] = ()
    error: Text | None = None
    longest: int | None = None
    inputmode: str | None = None
    keys: touch_keys.Keys = ""

    @property
    def value(self) -> str:
        """The first value; empty where there is none."""
        return self.values[0] if self.values else ""

    @property
    def parts(self) -> list[tuple[str, Text, list[str], str]]:
        """The lists of a day or month: suffix, unit, choices and chosen value of each."""
        chosen = [*self.value.split("-"), "", "", ""]
        choices = {"y": _years(), "m": _two_digits(12), "d": _two_digits(31)}
        units = {"y": Text("年", "year"), "m": Text("月", "month"), "d": Text("日", "day")}
        return [
            (part, units[part], choices[part], chosen[index])
            for index, part in enumerate(_PARTS[self.kind])
        ]

    @property
    def shown(self) -> Text:
        """The value in words, for the page to confirm."""
        if self.kind in _PARTS:
            units = zip(self.value.split("-"), "年月日", strict=False)
            chinese = "".join(f"{number.lstrip('0')}{unit}" for number, unit in units)
            return Text(chinese, self.value)
        labels = {option.value: _both(option.label) for option in self.options}
        chosen = [labels.get(value, _both(value)) for value in self.values]
        return Text("、".join(each.zh for each in chosen), ", ".join(each.en for each in chosen))


def _both(words: Words) -> Text:
    return words if isinstance(words, Text) else Text(words, words)


def form_fields(
    item: Item, posted: Posted, errors: Errors, *, all_optional: bool = False
) -> list[Field]:
    """Return the fields of the item's form, in the order of its schema."""
    required = () if all_optional else item.form.get("required", ())
    return [
        _field(name, schema, posted, errors, required=name in required)
        for name, schema in item.form.get("properties", {}).items()
    ]


def _field(
    name: str, schema: dict[str, Any], posted: Posted, errors: Errors, *, required: bool
) -> Field:
    input_name = f"form.{name}"
    examples = schema.get("examples") or [""]
    hint = schema.get("description", "")
    options = _options(schema)
    kind = _kind(schema, len(options))
    typed = [_date(input_name, posted)] if kind in _PARTS else posted.get(input_name, ())
    if required and kind == "radio" and len(options) == 1:
        typed = [options[0].value]  # there is nothing to choose
    return Field(
        name=input_name,
        label=schema.get("title", name),
        kind=kind,
        values=tuple(value for value in typed if value),
        # A hint on the format is of no use where day and month are chosen from lists.
        hint=_FORMAT.sub("", hint).lstrip("，") if kind in _PARTS else hint,
        placeholder="" if options else Text(f"例如：{examples[0]}", f"Example: {examples[0]}"),
        required=required,
        options=options,
        error=_error(errors, f"/form/{name}"),
        longest=_longest(schema),
        inputmode="numeric" if schema.get("type") in ("integer", "number") else None,
        keys=touch_keys.of_schema(schema),
    )


def _kind(schema: dict[str, Any], options: int) -> str:
    if schema.get("type") == "array":
        return "checks" if options else "textarea"
    if options:
        return "radio" if options <= _RADIO_UP_TO else "select"
    formats = {"date": "day", "year-month": "month", "mobile": "tel", "email": "email"}
    if schema.get("format") in formats:
        return formats[schema["format"]]
    return "textarea" if has_lines(schema) else "text"


def _longest(schema: dict[str, Any]) -> int | None:
    """Return the `maxlength` of an input: None for numbers and codes, because cleaning may shorten
    them; else twice the characters, because browsers count those beyond U+FFFF twice, and a person
    would not notice that a text was cut."""
    if cleaning.is_free(schema) and "maxLength" in schema:
        return 2 * int(schema["maxLength"])
    return None


def _options(schema: dict[str, Any]) -> tuple[Option, ...]:
    if schema.get("type") == "boolean":
        return (Option("true", Text("是", "yes")), Option("false", Text("否", "no")))
    source = schema.get("items", {}) if schema.get("type") == "array" else schema
    return tuple(Option(str(value), str(value)) for value in source.get("enum", ()))


def _years() -> list[str]:
    this_year = datetime.now(CHINA).year
    return [str(year) for year in range(this_year + _YEARS_AHEAD, this_year - _YEARS_BACK, -1)]


def _two_digits(last: int) -> list[str]:
    return [f"{number:02d}" for number in range(1, last + 1)]


def _date(name: str, posted: Posted) -> str:
    """Return the date that was chosen, `2026-03-01`; parts not chosen are empty, and so is the
    result if all are."""
    parts = [_one(posted, f"{name}.{part}") for part in "ymd" if f"{name}.{part}" in posted]
    return "-".join(parts) if any(parts) else ""


def _error(errors: Errors, pointer: str) -> Text | None:
    """Return the first error at a field or inside it; None where there is none."""
    found = [text for at, text in errors.items() if at == pointer or at.startswith(pointer + "/")]
    return found[0] if found else None


def read_form(item: Item, posted: Posted) -> dict[str, Any]:
    """Return the form as JSON. A value that cannot be converted stays text, for the schema to
    refuse."""
    form = {}
    for name, schema in item.form.get("properties", {}).items():
        given = posted.get(f"form.{name}") or [_date(f"form.{name}", posted)]
        each = schema.get("items", {}) if schema.get("type") == "array" else schema
        typed = [clean for value in given if (clean := cleaning.value(value, each))]
        if typed and schema.get("type") == "array":
            form[name] = [_converted(each, value) for value in typed]
        elif typed:
            form[name] = _converted(schema, typed[0])
    return form


def _converted(schema: dict[str, Any], typed: str) -> Any:
    match schema.get("type"):
        case "integer" if _INTEGER.fullmatch(typed):
            return int(typed)
        case "number" if _NUMBER.fullmatch(typed):
            return float(typed)
        case "boolean" if typed in ("true", "false"):
            return typed == "true"
    for value in schema.get("enum", ()):
        if str(value) == typed:
            return value
    return typed


def person_fields(posted: Posted, errors: Errors, *, under: str) -> list[Field]:
    """Return the fields of the person who applies, or, under `applicant.agent`, who acts for the
    company."""
    pointer = "/" + under.replace(".", "/")

    def field(name: str, label: Text, kind: str = "text", **more: Any) -> Field:
        return Field(
            name=f"{under}.{name}",
            label=label,
            kind=kind,
            values=tuple(value for value in posted.get(f"{under}.{name}", ()) if value),
            error=_error(errors, f"{pointer}/{name}"),
            **more,
        )

    id_types = tuple(Option(value, label) for value, label in ID_TYPE_NAMES.items())
    return [
        field("name", _NAME, hint=_NAME_HINT, longest=200, keys="text"),
        field("id_type", _ID_TYPE, "select", hint=_ID_TYPE_HINT, options=id_types),
        field("id_number", _ID_NUMBER, hint=_ID_NUMBER_HINT, longest=64, keys="id"),
        field("phone", _PHONE, "tel", hint=_PHONE_HINT, longest=64, keys="digits"),
        field(
            "email", _EMAIL, "email", hint=_EMAIL_HINT, required=False, longest=254, keys="latin"
        ),
    ]


def company_fields(posted: Posted, errors: Errors) -> list[Field]:
    """Return the fields of the company that applies."""
    found = []
    for name, label, hint in (
        (
            "name",
            Text("单位名称", "Name of the company"),
            Text("与营业执照一致", "As on the business licence"),
        ),
        (
            "uscc",
            Text("统一社会信用代码", "Unified social credit code"),
            Text("营业执照上的18位代码", "The 18 characters on the business licence"),
        ),
    ):
        posted_name = f"applicant.company.{name}"
        values = tuple(value for value in posted.get(posted_name, ()) if value)
        error = _error(errors, f"/applicant/{name}")
        keys: touch_keys.Keys = "credit" if name == "uscc" else "text"
        found.append(
            Field(posted_name, label, "text", values, hint, error=error, longest=200, keys=keys)
        )
    return found


def read_applicant(posted: Posted) -> dict[str, Any]:
    """Return the applicant as in docs/contract.md, without members that were left empty."""
    if _one(posted, "applicant.type") == "company":
        return {
            "type": "company",
            **_filled(posted, "applicant.company", ("name", "uscc")),
            "agent": _filled(posted, "applicant.agent", _PERSON),
        }
    return {"type": "person", **_filled(posted, "applicant", _PERSON)}


_PERSON = ("name", "id_type", "id_number", "phone", "email")
_CLEAN = {
    "name": cleaning.line,
    "id_number": cleaning.number,
    "uscc": cleaning.number,
    "phone": cleaning.mobile,
    "email": cleaning.email,
}
"""Functions that clean the fields of an applicant."""


def _filled(posted: Posted, under: str, names: Sequence[str]) -> dict[str, str]:
    typed = {name: _CLEAN.get(name, str.strip)(_one(posted, f"{under}.{name}")) for name in names}
    return {name: value for name, value in typed.items() if value}


def cleaned(item: Item, posted: Posted) -> dict[str, list[str]]:
    """Return what was typed, cleaned field by field, so that a person confirms what is
    submitted."""
    found = {name: list(values) for name, values in posted.items()}
    for name, schema in item.form.get("properties", {}).items():
        each = schema.get("items", {}) if schema.get("type") == "array" else schema
        values = found.get(f"form.{name}", ())
        found[f"form.{name}"] = [cleaning.value(value, each) for value in values]
    for name, values in found.items():
        under, _, last = name.rpartition(".")
        if under.startswith("applicant") and last in _CLEAN:
            found[name] = [_CLEAN[last](value) for value in values]
    if "assistant" in found:
        found["assistant"] = [cleaning.email(value) for value in found["assistant"]]
    return found


def _one(posted: Posted, name: str) -> str:
    return next((value.strip() for value in posted.get(name, ())), "")


def read_submission(item: Item, posted: Posted) -> dict[str, Any]:
    """Return what was typed as a body of `POST /v1/requests`."""
    body: dict[str, Any] = {"item_code": item.code, "channel": "self_service"}
    if _one(posted, "assisted"):
        body["channel"] = "assisted"
        if assistant := cleaning.email(_one(posted, "assistant")):
            body["assistant"] = assistant
    body["applicant"] = read_applicant(posted)
    body["form"] = read_form(item, posted)
    if item.printable:
        body["print"] = bool(_one(posted, "print"))
    return body


def example_of(item: Item) -> Posted:
    """Return the item's examples as if a person had typed them."""
    posted: dict[str, list[str]] = {"print": ["1"]}
    for name, value in item.example_form.items():
        values = value if isinstance(value, list) else [value]
        kind = _kind(item.form["properties"][name], 0)
        for part, number in zip(_PARTS.get(kind, ""), str(value).split("-"), strict=False):
            posted[f"form.{name}.{part}"] = [number]
        if kind not in _PARTS:
            posted[f"form.{name}"] = [_typed(each) for each in values]
    applicant = dict(item.example_applicant)
    person = applicant
    under = "applicant"
    posted["applicant.type"] = [applicant["type"]]
    if applicant["type"] == "company":
        person, under = applicant["agent"], "applicant.agent"
        for name in ("name", "uscc"):
            posted[f"applicant.company.{name}"] = [applicant[name]]
    for name in _PERSON:
        if name in person:
            posted[f"{under}.{name}"] = [person[name]]
    return posted


def _typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
