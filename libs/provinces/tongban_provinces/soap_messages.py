"""What connectors say and are told, in the words of the WSDL, and back."""

from __future__ import annotations

import json
from typing import Any

Words = dict[str, Any]


_NAMES = {"id_type": "idType", "id_number": "idNumber"}
"""Of an applicant; the others are the same."""


def submission(application: Words, act_before: float) -> Words:
    """The content of Submit, with requestId left to the caller. `act_before` is in Unix seconds.

    What the interface has no words for keeps its name, and zeep will not write it: better a request
    that a person looks at than one that lost a field on its way.
    """
    return {
        "itemCode": application["item_code"],
        "itemName": application["item_name"],
        "kind": str(application["kind"]),
        "applicant": _applicant(application["applicant"]),
        "form": _form(application["form"]),
        "actBefore": _epoch_ms(act_before),
    }


def supplement(supplement_id: str, form: Words, act_before: float) -> Words:
    """The content of Supplement, with requestId left to the caller."""
    return {
        "supplementId": supplement_id,
        "form": _form(form),
        "actBefore": _epoch_ms(act_before),
    }


def withdrawal(act_before: float) -> Words:
    """The content of Withdraw, with requestId left to the caller."""
    return {"actBefore": _epoch_ms(act_before)}


def answer(application: Any) -> Words:
    """What zeep read of a province's Application, in the words of `gateway.Answer`."""
    return {
        "request_id": application.requestId,
        "state": application.state,
        "receipt": application.receipt,
        "reason": application.reason,
        "supplements": application.supplements,
        "withdrawn": application.withdrawn,
        "result": _result(application.result),
        "documents": [
            {"name": each.name, "title": each.title, "sha256": each.sha256, "size": each.size}
            for each in application.document
        ],
    }


def _epoch_ms(seconds: float) -> int:
    return round(seconds * 1000)


def _applicant(applicant: Words) -> Words:
    said = _renamed(applicant)
    kind = said.pop("type")
    if "agent" in said:
        said["agent"] = _renamed(said["agent"])
    return {kind: said}


def _renamed(said: Words) -> Words:
    return {_NAMES.get(name, name): value for name, value in said.items()}


def _form(values: Words) -> Words:
    """A form as fields with a type, so that no value is lost or changed on its way."""
    return {"field": [_field(name, value) for name, value in values.items()]}


def _field(name: str, value: Any) -> Words:
    match value:
        case str():
            return {"name": name, "type": "text", "value": value}
        case bool():
            kind = "boolean"
        case int() | float():
            kind = "number"
        case _:
            kind = "json"
    return {"name": name, "type": kind, "value": json.dumps(value, ensure_ascii=False)}


def _result(result: Any) -> Words | None:
    if result is None:
        return None
    table = result.table
    return {
        "number": _text(result.number),
        "issuer": _text(result.issuer),
        "issued_on": _text(result.issuedOn),
        "facts": [{"label": _text(f.label), "value": _text(f.value)} for f in result.fact],
        "table": None
        if table is None
        else {"columns": _cells(table.columns), "rows": [_cells(row) for row in table.row]},
    }


def _cells(row: Any) -> list[str]:
    return [] if row is None else [_text(cell) for cell in row.cell]


def _text(text: str | None) -> str:
    return text or ""  # zeep reads an empty element as None
