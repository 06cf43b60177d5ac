"""Events are a public interface: additive changes only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tongban_common.clock import BusinessClock
from tongban_common.events import MODELS, Event, MalformedEventError, decode, encode
from tongban_common.events.models import RequestStatus, TimerDue
from tongban_ops.event_documents.schemas import event_schema, incompatible

SCHEMAS = Path(__file__).parents[3] / "docs" / "events" / "schemas"
NOW = BusinessClock.real().now()


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_old_readers_can_read_new_events(event_type: str) -> None:
    path = SCHEMAS / f"{event_type}.json"
    schema = event_schema(event_type)
    assert path.exists(), "a new event type: run `tongban events describe`"
    published = json.loads(path.read_text())
    assert incompatible(published, schema) == []
    assert published == schema, "an additive change: run `tongban events describe`"


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_optional_field_may_be_omitted(event_type: str) -> None:
    """`encode` leaves None out, and a reader must not miss it."""
    schema = MODELS[event_type].model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        required = part.get("required", [])
        fields = part.get("properties", {})
        nullable = [n for n in required if {"type": "null"} in fields[n].get("anyOf", [])]
        assert nullable == []


def test_no_published_schema_has_lost_its_model() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(MODELS)


def test_schema_comparison_finds_breaking_changes() -> None:
    old = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x"]}}, "required": ["a"]}
    assert incompatible(old, {"properties": {"b": {"enum": ["x"]}}, "required": []})
    assert incompatible(old, {"properties": {"a": {"type": "integer"}}, "required": ["a"]})
    more = {"properties": old["properties"], "required": ["a", "b"]}
    assert incompatible(old, more) == ["/b: required by new readers, absent from events on topics"]
    listed = {"properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/A"}}}}
    other = {"properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/B"}}}}
    assert incompatible(listed, other) == ["/a[]: #/$defs/A became #/$defs/B"]
    wider = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}}, "required": ["a"]}
    assert incompatible(old, wider) == ["/b: values an old reader does not know"]


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_readers_ignore_fields_of_a_later_version(event_type: str) -> None:
    """After a roll-back, events of the version that was taken back are on the topics."""
    schema = MODELS[event_type].model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part.get("additionalProperties") is not False


def test_event_with_a_field_of_a_later_version_is_read() -> None:
    body = TimerDue(request_id="r-1", due=NOW)
    value, headers = encode(Event(id="e-1", source="test", body=body, time=NOW))
    later = json.dumps({**json.loads(value), "field_of_a_later_version": 1}).encode()
    assert decode(later, headers).body == body


def test_event_survives_encoding_and_decoding() -> None:
    body = TimerDue(request_id="r-1", due=NOW)
    event = Event(id="e", source="s", body=body, time=NOW, repeat=True, traceparent="00-a-b-01")
    value, headers = encode(event)
    assert decode(value, headers) == event
    named = dict(headers)
    assert named["ce_specversion"] == b"1.0"
    assert named["ce_type"] == b"tongban.router.timer.v1"
    assert named["content-type"] == b"application/json"


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (b"{}", {"ce_type": "张三 13800001234".encode()}),
        (b'{"request_id": "r-1", "due": "2026-01-01T00:00:00Z"}', {"ce_time": "张三".encode()}),
        ('{"request_id": "r-1", "张三": 1}'.encode(), {}),
        (b"{}", {"ce_id": b"\xff\xfe", "ce_time": b"\xff"}),
    ],
)
def test_malformed_event_quotes_neither_headers_nor_keys_of_the_body(
    value: bytes, change: dict[str, bytes]
) -> None:
    _, headers = encode(
        Event(id="e", source="s", body=TimerDue(request_id="r-1", due=NOW), time=NOW)
    )
    with pytest.raises(MalformedEventError) as raised:
        decode(value, {**dict(headers), **change}.items())
    for secret in ("张三", "13800001234", "\\xff", "\ufffd"):
        assert secret not in str(raised.value)


def test_header_without_value_counts_as_missing_and_a_time_needs_an_offset() -> None:
    value, headers = encode(
        Event(id="e", source="s", body=TimerDue(request_id="r-1", due=NOW), time=NOW)
    )
    named: dict[str, Any] = dict(headers)
    with pytest.raises(MalformedEventError, match="header missing: ce_id"):
        decode(value, {**named, "ce_id": None}.items())
    with pytest.raises(MalformedEventError, match="header ce_time: no offset"):
        decode(value, {**named, "ce_time": b"2026-01-01T00:00:00"}.items())


@pytest.mark.parametrize(
    ("value", "change", "said"),
    [
        (b"{}", {}, "/request_id: missing"),
        (b"not json", {}, "json_invalid"),
        (b"{}", {"ce_type": b"tongban.nonsense.v9"}, "unknown type"),
        (b"{}", {"ce_id": None}, "header missing: ce_id"),
        (None, {}, "json_invalid"),
    ],
)
def test_malformed_event_is_reported_without_being_quoted(
    value: bytes | None, change: dict[str, bytes | None], said: str
) -> None:
    _, headers = encode(Event(id="e", source="s", body=TimerDue(request_id="r", due=NOW), time=NOW))
    changed = [(name, raw) for name, raw in {**dict(headers), **change}.items() if raw is not None]
    with pytest.raises(MalformedEventError, match=said):
        decode(value, changed)


def test_a_refused_value_is_not_quoted() -> None:
    _, headers = encode(Event(id="e", source="s", body=TimerDue(request_id="r", due=NOW), time=NOW))
    wrong = [(n, RequestStatus.TYPE.encode() if n == "ce_type" else v) for n, v in headers]
    with pytest.raises(MalformedEventError) as raised:
        decode(b'{"request_id": "r", "seq": "310101199003078690"}', wrong)
    assert "310101199003078690" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ce_time", "张三 110101199003078690"), ("ce_type", "tongban.张三.13800001234")],
)
def test_a_refused_header_is_not_quoted(name: str, value: str) -> None:
    body, headers = encode(
        Event(id="e", source="s", body=TimerDue(request_id="r", due=NOW), time=NOW)
    )
    wrong = [(n, value.encode() if n == name else v) for n, v in headers]
    with pytest.raises(MalformedEventError, match=f"header {name}") as raised:
        decode(body, wrong)
    assert "张三" not in str(raised.value)
    assert "0000123" not in str(raised.value)


def test_a_refused_key_is_not_quoted() -> None:
    _, headers = encode(Event(id="e", source="s", body=TimerDue(request_id="r", due=NOW), time=NOW))
    wrong = [(n, RequestStatus.TYPE.encode() if n == "ce_type" else v) for n, v in headers]
    with pytest.raises(MalformedEventError, match=r"/sealed/parts/\*: string_type") as raised:
        decode(json.dumps({"sealed": {"parts": {"张三": 1}}}).encode(), wrong)
    assert "张三" not in str(raised.value)
