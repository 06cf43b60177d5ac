"""Convert calls and answers between our own names and those of the WSDL."""

from __future__ import annotations

import json
from typing import Any

Words = dict[str, Any]
"""Content of a message or of a part of it, by name."""
_NAMES = {"id_type": "idType", "id_number": "idNumber"}
"""Fields of an applicant whose names differ in the WSDL."""


def submission(application: Words, act_before: float) -> Words:
    """Return the content of Submit without requestId. `act_before` is in Unix seconds.

    A field that the WSDL does not have keeps its name, so that zeep refuses to write the message:
    an operator then looks at the request, and no field is lost on its way.
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
    """Return the content of Supplement without requestId. `act_before` is in Unix seconds."""
    return {
        "supplementId": supplement_id,
        "form": _form(form),
        "actBefore": _epoch_ms(act_before),
    }


def withdrawal(act_before: float) -> Words:
    """Return the content of Withdraw without requestId. `act_before` is in Unix seconds."""
    return {"actBefore": _epoch_ms(act_before)}


def answer(application: Any) -> Words:
    """Convert the Application that zeep read to the fields of `GatewayAnswer`."""
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
    fields = _renamed(applicant)
    kind = fields.pop("type")
    if "agent" in fields:
        fields["agent"] = _renamed(fields["agent"])
    return {kind: fields}


def _renamed(fields: Words) -> Words:
    return {_NAMES.get(name, name): value for name, value in fields.items()}


def _form(values: Words) -> Words:
    """Convert a form to typed fields, so that no value is changed on its way."""
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
