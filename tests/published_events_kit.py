"""Checks records against the published AsyncAPI document alone; imports nothing of tongban.

A reader of production ignores headers and fields that the document does not name, since a later
version may add some. The test of the document is strict instead: a record of the same version with
anything more shows that the document lacks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

PUBLISHED = Path(__file__).parents[1] / "docs" / "events" / "asyncapi.yaml"
Node = dict[str, Any]
_PLACE = re.compile(r"\$message\.payload#(/.*)")


@dataclass(frozen=True)
class PlainRecord:
    """A record as a client of Kafka returns it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def type(self) -> str:
        """The CloudEvents type, or an empty text."""
        return dict(self.headers).get("ce_type", b"").decode("utf-8", "replace")


def published() -> Node:
    """Reads what is published, parsed anew."""
    document: Node = yaml.load(PUBLISHED.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return document


class UndocumentedError(Exception):
    """Raised for a record that is not as the document says. The text names the rules it breaks."""


@dataclass
class PublishedMessage:
    """A message of the document, with its traits merged and its schemas compiled."""

    name: str
    node: Node
    schemas: Node
    event_type: str | None = field(init=False)

    def __post_init__(self) -> None:
        for trait in self.node.get("traits", ()):
            self.node = merged(trait, self.node)
        headers = self.node.get("headers", {})
        self.event_type = headers.get("properties", {}).get("ce_type", {}).get("const")

    @cached_property
    def _headers(self) -> jsonschema_rs.Validator:
        return self._validator(self.node.get("headers", {}))

    @cached_property
    def _payload(self) -> jsonschema_rs.Validator:
        return self._validator(self.node["payload"])

    @cached_property
    def _key(self) -> jsonschema_rs.Validator:
        return self._validator(self.node.get("bindings", {}).get("kafka", {}).get("key", {}))

    def _validator(self, schema: Node) -> jsonschema_rs.Validator:
        whole = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "components": {"schemas": closed(self.schemas)},
            "allOf": [closed(schema)],
        }
        return jsonschema_rs.validator_for(whole, validate_formats=True)

    def takes_key(self, key: bytes | None) -> bool:
        """Return True if a record of this message may have this key."""
        return self._key.is_valid(None if key is None else key.decode("utf-8", "replace"))

    def faults(self, record: PlainRecord) -> Iterator[str]:
        """Return where a record differs from the document."""
        is_event = self.event_type is not None
        headers = {name: raw.decode("utf-8", "replace") for name, raw in record.headers}
        if "headers" in self.node:
            yield from _errors("header", self._headers, headers)
        key = None if record.key is None else record.key.decode("utf-8", "replace")
        if "kafka" in self.node.get("bindings", {}):
            yield from _errors("key", self._key, key)
        if record.value is None or self.node["contentType"] != "application/json":
            return
        try:
            value = json.loads(record.value)
        except ValueError:
            yield "value: no JSON"
            return
        yield from _errors("value", self._payload, value)
        if (place := self.node.get("x-key-location")) and at(place, value) != key:
            yield f"key: not the value at {place}"
        if is_event and at(self.node["correlationId"]["location"], value) is None:
            yield "correlation id: missing"


class PublishedDocument:
    """The document, ready to check records."""

    def __init__(self, document: Node) -> None:
        self.document = document
        schemas = document["components"]["schemas"]
        self._channels: list[tuple[re.Pattern[str], Node, list[PublishedMessage]]] = []
        for channel in document["channels"].values():
            messages = [
                PublishedMessage(name, self._resolved(reference), schemas)
                for name, reference in channel["messages"].items()
            ]
            self._channels.append((self._pattern(channel), channel, messages))

    @classmethod
    def load(cls) -> PublishedDocument:
        """Read what is published."""
        return cls(published())

    @property
    def event_types(self) -> set[str]:
        """Every type of event that the document names."""
        return {each.event_type for *_, found in self._channels for each in found} - {None}  # type: ignore[return-value]

    def channel(self, topic: str) -> tuple[Node, list[PublishedMessage]]:
        """The channel of a topic, and its messages."""
        for pattern, channel, messages in self._channels:
            if pattern.fullmatch(topic):
                return channel, messages
        raise UndocumentedError(f"{topic}: no such channel")

    def topics(self) -> Iterator[str]:
        """Every topic that the document names, one for each value of a parameter."""
        for channel in self.document["channels"].values():
            address = channel["address"]
            values = channel.get("parameters", {}).get("province", {}).get("enum", [""])
            yield from (address.replace("{province}", value) for value in values)

    def check(self, record: PlainRecord) -> str:
        """The name of the record's message, if the record is as the document says."""
        channel, messages = self.channel(record.topic)
        found = [each for each in messages if each.event_type in (record.type, None)]
        if len(found) > 1:
            found = [each for each in found if each.takes_key(record.key)]
        if len(found) != 1:
            raise UndocumentedError(f"{record.topic}: no message of type {record.type or 'none'}")
        settings = channel["bindings"]["kafka"]["topicConfiguration"]
        faults = list(found[0].faults(record))
        if record.value is None and "compact" not in settings["cleanup.policy"]:
            faults.append("value: missing, and the topic is not compacted")
        if faults:
            raise UndocumentedError(f"{record.topic} {found[0].name}: {'; '.join(faults)}")
        return found[0].name

    def _pattern(self, channel: Node) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", channel["address"])
        known = channel.get("parameters", {})
        return re.compile(
            "".join(
                re.escape(part) if number % 2 == 0 else f"({'|'.join(known[part]['enum'])})"
                for number, part in enumerate(parts)
            )
        )

    def _resolved(self, reference: Node) -> Node:
        message = self._at(reference["$ref"])
        traits = [self._at(each["$ref"]) for each in message.get("traits", ())]
        return {**message, "traits": traits}

    def _at(self, reference: str) -> Node:
        found: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)


def merged(trait: Any, target: Any) -> Any:
    """A trait with the message merged into it (RFC 7396): what the message says has precedence."""
    if not isinstance(trait, dict) or not isinstance(target, dict):
        return target
    both = {name: merged(trait[name], target[name]) for name in trait.keys() & target.keys()}
    return {**trait, **target, **both}


def closed(schema: Any) -> Any:
    """A schema that refuses properties which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def at(place: str, value: Any) -> Any:
    """Return what a runtime expression of AsyncAPI names in a payload; None if there is no such
    place."""
    found = _PLACE.fullmatch(place)
    assert found is not None, place
    for step in found[1].removeprefix("/").split("/"):
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def _errors(what: str, validator: jsonschema_rs.Validator, value: Any) -> Iterator[str]:
    for error in validator.iter_errors(value):
        where = "/".join(map(str, error.instance_path))
        yield f"{what} /{where}: {error.message[:200]}"
