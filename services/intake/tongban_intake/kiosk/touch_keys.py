"""Choose the keys that the page's touch keyboard shows for a field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from tongban_intake.kiosk import cleaning

Keys = Literal["", "digits", "amount", "id", "credit", "code", "latin", "text"]
"""Kinds of keys: digits; digits with a decimal point; digits and X of an identity number; the 31
characters of a credit code (GB 32100); letters and digits; e-mail; Chinese by pinyin. None for an
input that is not typed in."""

_SETS = re.compile(r"\[[^\]]*\]")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_BY_FORMAT: Mapping[str, Keys] = {
    "mobile": "digits",
    "resident-id": "id",
    "credit-code": "credit",
    "email": "latin",
}


def of_schema(schema: Mapping[str, Any]) -> Keys:
    """Return the keys for a value of this JSON Schema."""
    each = schema.get("items", schema) if schema.get("type") == "array" else schema
    match each.get("type"):
        case "integer":
            return "digits"
        case "number":
            return "amount"
    if keys := _BY_FORMAT.get(each.get("format", "")):
        return keys
    return _of_pattern(each["pattern"]) if cleaning.is_code(each) else "text"


def _of_pattern(pattern: str) -> Keys:
    if _CHINESE.search(pattern):
        return "text"  # the number plate of a car
    letters = {each for each in "".join(_SETS.findall(pattern)) if each.isalpha()}
    if letters == {"X"}:
        return "id"
    return "code" if letters or re.search("[A-Za-z]", _SETS.sub("", pattern)) else "digits"
