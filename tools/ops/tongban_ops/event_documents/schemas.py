"""Make the published JSON Schemas, and compare them with those of before."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tongban_common.events import MODELS
from tongban_ops.event_documents.registers import completed

Schema = dict[str, Any]
_TIME_OF_DAY = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(event_type: str) -> Schema:
    """Return the published JSON Schema of an event's body."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:tongban:schema:{event_type}",
        **plain_schema(MODELS[event_type]),
    }


def plain_schema(model: type[BaseModel], *, nulls: bool = False) -> Schema:
    """Return a model's JSON Schema as records are written: no field has a title beside its name.

    Args:
        nulls: a field without a value is null. Otherwise it is left out, as in every event.
    """
    schema = model.model_json_schema()
    for model_name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
        part["description"] = _paragraphs(part.get("description", ""))
        if "properties" in part:
            part["properties"] = {
                name: completed(model_name, name, _plain(field, nulls))
                for name, field in part["properties"].items()
            }
    return schema


def _plain(field: Schema, nulls: bool) -> Schema:
    if field.get("format") == "time":  # RFC 3339 wants an offset, and opening hours have none
        field = {**field, "pattern": _TIME_OF_DAY}
        del field["format"]
    if nulls:
        return {name: value for name, value in field.items() if name != "title"}
    choices = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    kept = {name: value for name, value in field.items() if name not in ("title", "anyOf")}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    if len(choices) == 1:
        return {**choices[0], **kept}
    return {"anyOf": choices, **kept} if choices else kept


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def incompatible(old: Schema, new: Schema, at: str = "") -> list[str]:
    """Return what an old reader could not read of events of the new schema, or a new reader of the
    old: processes of both run side by side during a roll-out, and a rebuild reads old events."""
    problems = []
    if old.get("type") != new.get("type"):
        problems.append(f"{at}: type {old.get('type')} became {new.get('type')}")
    if old.get("$ref") != new.get("$ref"):
        problems.append(f"{at}: {old.get('$ref')} became {new.get('$ref')}")
    if "enum" in old and not set(new.get("enum", [])) <= set(old["enum"]):
        problems.append(f"{at}: values an old reader does not know")
    if isinstance(was := old.get("items"), dict):
        problems += incompatible(was, new.get("items", {}), f"{at}[]")
    for name, was in old.get("properties", {}).items():
        now = new.get("properties", {}).get(name)
        if now is None:
            if name in old.get("required", []):
                problems.append(f"{at}/{name}: required by old readers, gone")
            continue
        problems += incompatible(was, now, f"{at}/{name}")
    for name in set(old.get("required", [])) - set(new.get("required", [])):
        problems.append(f"{at}/{name}: required by old readers, optional now")
    for name in set(new.get("required", [])) - set(old.get("required", [])):
        problems.append(f"{at}/{name}: required by new readers, absent from events on topics")
    for name, was in old.get("$defs", {}).items():
        if name in new.get("$defs", {}):
            problems += incompatible(was, new["$defs"][name], f"{at}/{name}")
    return problems
