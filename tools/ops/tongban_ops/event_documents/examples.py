"""Make the example of each event type: a whole record, as a service would write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tongban_common.domain.ids import derived_id
from tongban_common.events import MODELS, Event, encode
from tongban_common.topics import CONNECTORS, PROVINCES
from tongban_ops.event_documents.families import Family

_SOURCE = Path(__file__).with_name("examples.yaml")
_TIMES = ("at", "submitted_at", "completed_at", "due")
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_PROVINCE = "340000"


@dataclass(frozen=True, slots=True)
class ExampleRecord:
    """A record of a topic, decoded: its headers as text and its value as JSON."""

    topic: str
    key: str
    headers: dict[str, str]
    value: dict[str, Any]

    def as_json(self) -> str:
        """Return the record as a JSON document."""
        parts = {"topic": self.topic, "key": self.key, "headers": self.headers, "value": self.value}
        return json.dumps(parts, ensure_ascii=False, indent=2) + "\n"


@cache
def bodies() -> dict[str, dict[str, Any]]:
    """Return the example body of each event type, as examples.yaml has it."""
    return dict(yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))["events"])


def example(family: Family, event_type: str) -> ExampleRecord:
    """Return the example of an event type, with the headers that its first writer sets."""
    body = MODELS[event_type].model_validate(bodies()[event_type])
    told = next((getattr(body, name) for name in _TIMES if hasattr(body, name)), None)
    time = told or datetime.fromisoformat("2026-03-02T09:30:16+08:00")
    writer = family.writers_of(event_type)[0]
    source = f"tongban/{writer}/{_PROVINCE}" if writer == CONNECTORS else f"tongban/{writer}"
    event = Event(derived_id("example", event_type), source, body, time, traceparent=_TRACE)
    value, headers = encode(event)
    return ExampleRecord(
        topic=family.topic.name.replace(PROVINCES[0], _PROVINCE),
        key=event.key.decode(),
        headers={name: raw.decode() for name, raw in headers},
        value=json.loads(value),
    )
