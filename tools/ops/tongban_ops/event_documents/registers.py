"""Complete the schemas of registers: meaning, data class and unit of each field."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tongban_common.events.models.base import DATA_CLASS, UNIT, FieldClass

Schema = dict[str, Any]
REGISTERS = Path(__file__).with_name("registers.yaml")


@cache
def register_fields() -> dict[str, dict[str, Any]]:
    """Return what the file says, by model and field."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(REGISTERS.read_text("utf-8"))
    return found


def completed(model: str, name: str, field: Schema) -> Schema:
    """Return the schema of a field with what registers.yaml says of it; what the model itself says
    has precedence. Models of events have no entry there and keep their schema."""
    known = register_fields().get(model)
    if known is None:
        return field
    entry = known.get(name) or {}
    if isinstance(entry, str):
        entry = {"text": entry}
    made = {**field}
    if text := field.get("description") or entry.get("text"):
        made["description"] = _sentence(text)
    made.setdefault(DATA_CLASS, entry.get("data", FieldClass.NONE.value))
    if "unit" in entry:
        made.setdefault(UNIT, entry["unit"])
    return made


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text[0].upper()}{text[1:]}."
