"""What stands on a document: a province's result and the applicant, made ready for a template.

Pure: no store, no Kafka, no fonts. Everything a template shows is a string by the time it leaves
here, and the full ID number leaves only for the templates that print it.
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
    """A file of `templates/` and what the law lets it show."""

    name: str
    full_id: bool
    """Whether the ID number is printed in full. Otherwise it is masked, also where a province
    repeats it among its facts."""


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
    """Rows of a result, such as one for each month; a row has as many cells as there are columns
    (missing ones are shown empty, surplus ones are left out)."""

    columns: list[str]
    rows: list[list[str | None]]


class ProvinceResult(_Received):
    """The part `result` of the envelope: what a province answered, whatever its item."""

    number: str
    issuer: str
    issued_on: str
    facts: list[SheetFact] = []
    table: SheetTable | None = None


class Agent(_Received):
    """Who acts for a company."""

    name: str


class SheetApplicant(_Received):
    """The part `applicant` of the envelope, as far as a document shows it (CONTRACT.md)."""

    type: str
    name: str
    id_type: str | None = None
    id_number: str | None = None
    uscc: str | None = None
    agent: Agent | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What proves who it is: the kind of the number, and the number."""
        if self.type == "company":
            return _USCC, self.uscc or ""
        return ID_TYPES.get(self.id_type or "", "证件"), self.id_number or ""


def masked_id(number: str) -> str:
    """The ends of an ID number with stars between: 341***********0011, E1****45."""
    head, tail = (3, 4) if len(number) >= 12 else (2, 2)
    hidden = max(len(number) - head - tail, 1)
    return number[:head] + "*" * hidden + number[len(number) - tail :] if number else ""


def chinese_date(text: str) -> str:
    """`2026-03-02` as 2026年3月2日; anything else as it is."""
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
) -> dict[str, Any]:
    """What `templates/sheet.typ` knows as `data`, without `substituted`."""
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
        "code": grouped(sheet_code(document_id)),
        "request_id": request_id,
        "holder": {
            "name": applicant.name,
            "id_label": id_label,
            "id_number": shown,
            "entries": entries,
        },
        # The applicant's name and number have their own place on every sheet.
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
    """A column's share of the width: what its longest text takes, in half-width characters. One
    column of long texts breaks its lines and leaves the others room."""
    longest = max(
        sum(2 if unicodedata.east_asian_width(sign) in "WFA" else 1 for sign in text)
        for text in texts
    )
    return min(max(longest + _PADDING, _NARROWEST), _WIDEST)
