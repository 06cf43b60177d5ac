"""Prepare a province's result and the applicant for a document's template.

Pure: no store, no Kafka, no fonts. A template gets strings only, and the full ID number only if it
may print it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from tongban_common.domain.titles import title_of
from tongban_common.domain.verification import grouped, sheet_code
from tongban_common.events.models import ItemSnapshot


@dataclass(frozen=True, slots=True)
class SheetTemplate:
    """A file of `templates/`, and what the law permits it to show."""

    name: str
    full_id: bool
    """True to print the ID number in full. Otherwise it is masked, also where a province repeats it
    among its facts."""


TEMPLATES = {
    template.name: template
    for template in (
        SheetTemplate("certificate", full_id=True),
        SheetTemplate("contribution_record", full_id=False),
        SheetTemplate("account_statement", full_id=False),
    )
}

ID_TYPES = {
    "resident_id": "居民身份证",
    "passport": "护照",
    "hk_macau_permit": "港澳居民来往内地通行证",
    "taiwan_permit": "台湾居民来往大陆通行证",
    "foreign_resident_id": "外国人永久居留身份证",
}
_USCC = "统一社会信用代码"

_NUMERIC = re.compile(r"[-+]?[¥￥]?[-+]?\d[\d,]*(\.\d+)?(元|个月|月|年|天|%)?")
_PADDING, _NARROWEST, _WIDEST = 3, 8, 32


class _Received(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True)


class SheetFact(_Received):
    """One line of a result."""

    label: str
    value: str


class SheetTable(_Received):
    """The table of a result, such as one row for each month.

    Missing cells of a row are printed empty, surplus cells are left out.
    """

    columns: list[str]
    rows: list[list[str | None]]


class ProvinceResult(_Received):
    """The part `result` of the envelope: a province's result, in the form common to all items."""

    number: str
    issuer: str
    issued_on: str
    facts: list[SheetFact] = []
    table: SheetTable | None = None


class Agent(_Received):
    """The person who acts for a company."""

    name: str


class SheetApplicant(_Received):
    """The part `applicant` of the envelope, as far as a document shows it."""

    type: str
    name: str
    id_type: str | None = None
    id_number: str | None = None
    uscc: str | None = None
    agent: Agent | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """Return the kind of the identifying number, and the number."""
        if self.type == "company":
            return _USCC, self.uscc or ""
        return ID_TYPES.get(self.id_type or "", "证件"), self.id_number or ""


def masked_id(number: str) -> str:
    """Return an ID number with stars in the middle: 341***********0011, E1****45."""
    head, tail = (3, 4) if len(number) >= 12 else (2, 2)
    hidden = max(len(number) - head - tail, 1)
    return number[:head] + "*" * hidden + number[len(number) - tail :] if number else ""


def chinese_date(text: str) -> str:
    """Return `2026-03-02` as 2026年3月2日, and any other text unchanged."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{day.year}年{day.month}月{day.day}日"


def contents(
    template: SheetTemplate,
    *,
    document_id: str,
    request_id: str,
    item: ItemSnapshot,
    applicant: SheetApplicant,
    result: ProvinceResult,
    verify_url: str | None = None,
    seal: str | None = None,
) -> dict[str, Any]:
    """Return the `data` of `templates/sheet.typ`, without `substituted` and `qr`.

    Args:
        verify_url: address of the public page on which codes are typed.
        seal: an SVG, or `specimen` for one that nobody takes for real.
    """
    code = sheet_code(document_id)
    id_label, id_number = applicant.identity
    secret = applicant.type == "person" and not template.full_id
    shown = masked_id(id_number) if secret else id_number

    def show(value: str | None) -> str:
        text = value or ""
        return text.replace(id_number, shown) if secret and id_number else text

    entries = [
        {"label": "单位名称" if applicant.type == "company" else "姓名", "value": applicant.name},
        {"label": id_label, "value": shown},
    ]
    if applicant.type == "company" and applicant.agent is not None:
        entries.append({"label": "经办人", "value": applicant.agent.name})
    known = {applicant.name, id_number}
    return {
        "title": title_of(item),
        "item": item.name,
        "number": show(result.number),
        "issuer": result.issuer,
        "issued_on": chinese_date(result.issued_on),
        "code": grouped(code),
        "verify_url": None if verify_url is None else f"{verify_url}/{code}",
        "verify_at": verify_url and verify_url.partition("://")[2],
        "seal": seal,
        "request_id": request_id,
        "holder": {
            "name": applicant.name,
            "id_label": id_label,
            "id_number": shown,
            "entries": entries,
        },
        # Every sheet shows the applicant's name and number elsewhere.
        "facts": [
            {
                "label": fact.label,
                "value": show(fact.value),
                "numeric": _is_numeric(fact.value),
            }
            for fact in result.facts
            if fact.value not in known
        ],
        "table": None if result.table is None else _table(result.table, show),
    }


def _is_numeric(text: str) -> bool:
    return _NUMERIC.fullmatch(text) is not None


def _table(table: SheetTable, show: Any) -> dict[str, Any] | None:
    width = len(table.columns)
    if width == 0:
        return None
    rows = [[show(cell) for cell in (row + [None] * width)[:width]] for row in table.rows]
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return {
        "columns": [
            {
                "title": title,
                "numeric": any(cells) and all(not cell or _is_numeric(cell) for cell in cells),
                "weight": _weight(title, *cells),
            }
            for title, cells in zip(table.columns, columns, strict=True)
        ],
        "rows": rows,
    }


def _weight(*texts: str) -> int:
    """Return a column's share of the width: its longest text, in half-width characters, bounded.

    The upper bound makes a column of long texts wrap, which leaves room for the others.
    """
    longest = max(
        sum(2 if unicodedata.east_asian_width(sign) in "WFA" else 1 for sign in text)
        for text in texts
    )
    return min(max(longest + _PADDING, _NARROWEST), _WIDEST)
