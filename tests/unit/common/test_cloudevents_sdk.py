"""The CloudEvents SDK and our own codec read each other's records (Kafka binding, binary mode).

An event of every type is made from its published schema, with every optional field.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

from tongban_common.clock import CHINA
from tongban_common.events import MODELS, Event, decode, encode
from tongban_common.events.models import Body

SCHEMAS = Path(__file__).parents[3] / "docs" / "events" / "schemas"
AT = datetime(2026, 3, 2, 9, 30, 15, 125_000, tzinfo=CHINA)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def example(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return a value that a published schema accepts, with all its properties."""
    if "$ref" in schema:
        return example(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return example(next(each for each in schema["anyOf"] if each.get("type") != "null"), root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    found: Any = AT.isoformat() if schema.get("format") == "date-time" else "安徽"
    match schema.get("type"):
        case "object":
            named = schema.get("properties", {})
            found = {name: example(each, root) for name, each in named.items()}
        case "array":
            found = [example(schema["items"], root)]
        case "integer" | "number":
            found = max(1, schema.get("minimum", 1))
        case "boolean":
            found = True
    return found


def golden_event(event_type: str) -> Event[Body]:
    schema = json.loads((SCHEMAS / f"{event_type}.json").read_text())
    body = MODELS[event_type].model_validate(example(schema, schema))
    return Event("e-1", "tongban/test", body, AT, repeat=True, traceparent=TRACE)


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_record_of_ours_has_the_same_attributes_and_data_for_the_sdk(event_type: str) -> None:
    event = golden_event(event_type)
    value, headers = encode(event)
    read = from_binary_event(KafkaMessage(headers=dict(headers), key=event.key, value=value))
    assert read.get_specversion() == "1.0"
    assert (read.get_id(), read.get_source(), read.get_type()) == (
        event.id,
        event.source,
        event_type,
    )
    assert (read.get_subject(), read.get_time()) == (event.body.request_id, AT)
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("repeat") == "true"
    assert read.get_extension("partitionkey") == event.body.request_id
    assert read.get_data() == json.loads(value)


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_record_of_the_sdk_is_decoded_to_the_same_event(event_type: str) -> None:
    event = golden_event(event_type)
    attributes = {
        "id": event.id,
        "source": event.source,
        "type": event_type,
        "specversion": "1.0",
        "time": AT,
        "subject": event.body.request_id,
        "datacontenttype": "application/json",
        "repeat": "true",
        "partitionkey": event.body.request_id,
    }
    data = event.body.model_dump(mode="json", exclude_none=True)
    message = to_binary_event(CloudEvent(attributes, data))
    key = message.key.encode() if isinstance(message.key, str) else message.key
    assert key == event.key
    headers = [*message.headers.items(), ("traceparent", TRACE.encode())]
    value = message.value.encode() if isinstance(message.value, str) else message.value
    assert decode(value, headers) == event


def test_record_that_the_sdk_wrote_without_a_time_is_refused_by_ours() -> None:
    """`time` is optional in CloudEvents and required by us; the SDK adds it when it is absent."""
    event = golden_event("tongban.router.timer.v1")
    value, headers = encode(event)
    without = {name: raw for name, raw in headers if name != "ce_time"}
    assert from_binary_event(KafkaMessage(headers=without, key=event.key, value=value))
    with pytest.raises(ValueError, match="header missing: ce_time"):
        decode(value, without.items())
