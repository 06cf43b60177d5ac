"""Mask the holder and the number of a document, and pick its main figures, for /v1/verify.

The answer is for a clerk who compares it with a sheet: an altered name or amount does not match.
Without the sheet it identifies nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

_STAR = "*"
_HEAD, _TAIL, _SHORTEST = 3, 2, 8
"""Characters shown at the start and at the end of a document number, and the length from which on
both are shown."""
_MOST_FIGURES = 5
_LONGEST_VALUE = 60
_PERSONAL_LABELS = re.compile(
    r"姓名|证件|身份|号码|账号|帐号|卡号|电话|手机|联系|地址|住址|住所|邮箱|出生|生日|配偶|父|母|子女"
)
_CONCLUSIONS = re.compile(r"(结果|结论|状态)$")
_UNITS = "元|万元|个月|月|年|天|日|次|人|期|分|级|%"
_FIGURE = re.compile(rf"[-+]?[¥￥]?\s?[-+]?[0-9][0-9,]*(\.[0-9]+)?\s?({_UNITS})?")
_MOMENT = re.compile(r"[0-9]{4}\s?[-年./][0-9]{1,2}([-月./][0-9]{1,2})?[日月]?([ 至~—-].*)?")
_LONG_NUMBER = re.compile(r"[0-9][0-9 -]{5,}[0-9Xx]")
_ISO_DATE = re.compile(r"\b[0-9]{4}-[0-9]{2}(-[0-9]{2})?\b")
_NUMBERS = ("id_number", "uscc", "phone", "email")


def masked_name(name: str) -> str:
    """Return a person's name with all but its first character hidden: 张*, 欧***."""
    return name[:1] + _STAR * max(1, len(name) - 1)


def masked_company(name: str) -> str:
    """Return a company's name with its middle hidden: 上海****公司."""
    shown = 2 if len(name) >= 6 else 1
    return name[:shown] + _STAR * max(1, len(name) - 2 * shown) + name[-shown:]


def masked_number(number: str) -> str:
    """Return a document number with all but its ends hidden: 310***********15. A short one shows
    its last character alone."""
    if len(number) < _SHORTEST:
        return _STAR * max(1, len(number) - 1) + number[-1:]
    return number[:_HEAD] + _STAR * (len(number) - _HEAD - _TAIL) + number[-_TAIL:]


def holder(applicant: Mapping[str, Any]) -> dict[str, str]:
    """Return `holder` and `holder_number` of an applicant, masked."""
    if applicant["type"] == "company":
        name, number = masked_company(applicant["name"]), applicant["uscc"]
    else:
        name, number = masked_name(applicant["name"]), applicant["id_number"]
    return {"holder": name, "holder_number": masked_number(number)}


def figures(result: Mapping[str, Any], applicant: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return up to five lines of a result that a clerk can compare: amounts, counts, periods and
    conclusions, as `{label, value}`. Lines that identify a person by their label, or that hold a
    long number, are left out; the applicant's own name and numbers are masked in the others."""
    return list(_figures(result, applicant))[:_MOST_FIGURES]


def _figures(result: Mapping[str, Any], applicant: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    names, numbers = _texts(applicant, "name"), _texts(applicant, *_NUMBERS)
    for fact in result.get("facts", ()):
        label, value = str(fact["label"]), str(fact["value"]).strip()
        plain = unicodedata.normalize("NFKC", value)
        if not _comparable(unicodedata.normalize("NFKC", label), plain):
            continue
        if any(number in plain for number in numbers) or any(name in label for name in names):
            continue
        for name in names:
            value = value.replace(name, masked_name(name))
        yield {"label": label, "value": value}


def _comparable(label: str, value: str) -> bool:
    """Return True if this line is an amount, a period or a conclusion, and identifies nobody."""
    if _PERSONAL_LABELS.search(label) or not 0 < len(value) <= _LONGEST_VALUE:
        return False
    if _LONG_NUMBER.search(_ISO_DATE.sub("", value)):
        return False
    is_figure = _FIGURE.fullmatch(value) or _MOMENT.fullmatch(value)
    return bool(is_figure or _CONCLUSIONS.search(label))


def _texts(applicant: Mapping[str, Any], *fields: str) -> list[str]:
    """Return these fields of the applicant and of a company's agent, longest first."""
    people = [applicant, applicant.get("agent") or {}]
    found = {str(person[name]) for person in people for name in fields if person.get(name)}
    return sorted((each for each in found if len(each) > 1), key=len, reverse=True)
