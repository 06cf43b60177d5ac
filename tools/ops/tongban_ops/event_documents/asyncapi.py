"""Make the AsyncAPI document (version 3.0) of all topics from the registry and the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from tongban_common.events import MODELS
from tongban_common.topics import INTAKE, PROVINCES, DataClass
from tongban_intake.readmodel.projector import SOURCES
from tongban_kafka import Acceptance
from tongban_ops.event_documents.families import Family, families, groups_of
from tongban_ops.event_documents.messages import (
    BINDING,
    STATES,
    TRAIT,
    Node,
    messages,
    names_of,
)
from tongban_ops.event_documents.schemas import Schema, plain_schema

NOTE = (
    "# Made by `tongban events describe` from the registry of topics and the models; edit those.\n"
)
_DESCRIPTION = """\
All topics of tongban: what is on them, who writes and who reads them.

Events are CloudEvents 1.0 in Kafka's binary content mode: the attributes are headers, the value is
the body alone, as JSON. Delivery is at least once: the same event may come again with the same
`ce_id`. Events of one request have one key and stay in order. In topics that are compacted, a
record without a value says that the thing that its key names is gone.

Compatibility: within a version of a type, changes are additive. A later record may have fields
that this document does not name, and a reader ignores them. No field that is required here
disappears, changes its type or its meaning, or gets a value that its enum does not list. Whatever
else changes is a new type, with a new number at its end, beside the old one.

`x-data-class` of a field is none, pseudonymous, personal or sealed; `x-unit` is the unit of a
number. Times are RFC 3339 with an offset; business time is the time of the clock that offices and
deadlines follow, which in production is real time.
"""
_HEADERS: dict[str, Node] = {
    "ce_specversion": {"const": "1.0", "description": "Version of CloudEvents."},
    "ce_id": {"minLength": 1, "description": "Id of the event. A repeat has the same id."},
    "ce_source": {
        "minLength": 1,
        "format": "uri-reference",
        "description": "The service that wrote the event.",
    },
    "ce_type": {"minLength": 1, "description": "Type of the event, with its version."},
    "ce_time": {"format": "date-time", "description": "Business time of the event (RFC 3339)."},
    "ce_subject": {"minLength": 1, "description": "The request that the event is about."},
    "content-type": {"const": "application/json", "description": "Media type of the value."},
    "ce_repeat": {
        "const": "true",
        "description": "Extension: an event with this id may have been sent before. A reader that "
        "acts on events checks whether it has acted on this one.",
    },
    "traceparent": {
        "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
        "description": "W3C Trace Context, where the service traces.",
    },
    "replay_of": {
        "minLength": 1,
        "description": "Id of the dead letter that an operator replayed, or `restore`.",
    },
}
_OPTIONAL_HEADERS = ("ce_repeat", "traceparent", "replay_of")


class _DocumentDumper(yaml.CSafeDumper):
    """Write a value that occurs twice twice: many readers of YAML refuse aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def asyncapi_text() -> str:
    """Return the document as YAML."""
    return NOTE + yaml.dump(
        asyncapi_document(), Dumper=_DocumentDumper, sort_keys=False, allow_unicode=True, width=100
    )


def asyncapi_document() -> Node:
    """Return the document."""
    all_families = families()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:tongban:events",
        "info": {
            "title": "tongban events",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": each.name.lower(), "description": each.value} for each in DataClass],
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {each.slug: _channel(each) for each in all_families},
        "operations": dict(_operations(all_families)),
        "components": {
            "messages": {
                name: message
                for family in all_families
                for name, message in messages(family).items()
            },
            "messageTraits": {TRAIT: _trait()},
            "schemas": _schemas(),
            "securitySchemes": {
                "scram": {"type": "scramSha512", "description": "An account of the broker."}
            },
        },
    }


def _server() -> Node:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "description": "The brokers. Replicas of partitions and min.insync.replicas are set there.",
        "variables": {
            "bootstrap": {
                "default": "kafka:9093",
                "description": "HOST:PORT of any broker, as in TONGBAN_KAFKA.",
            }
        },
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    }


def _channel(family: Family) -> Node:
    channel: Node = {
        "address": family.address,
        "title": family.name,
        "description": family.text,
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in names_of(family)},
        "tags": [{"name": family.topic.data.name.lower()}],
        "bindings": {
            "kafka": {
                "partitions": family.topic.partitions,
                "topicConfiguration": _configuration(family),
                "bindingVersion": BINDING,
            }
        },
    }
    if family.of_provinces:
        channel["parameters"] = {
            "province": {
                "description": "GB/T 2260 code of the province.",
                "enum": list(PROVINCES),
            }
        }
    return channel


def _configuration(family: Family) -> Node:
    """Return the topic's settings with the types that the Kafka binding wants."""
    settings: Node = dict(family.topic.kafka_config())
    settings["cleanup.policy"] = settings["cleanup.policy"].split(",")
    for name, value in settings.items():
        if name.endswith(".ms"):
            settings[name] = int(value)
    return settings


def _operations(all_families: list[Family]) -> Iterator[tuple[str, Node]]:
    for family in all_families:
        for writer in family.writers:
            # An operator replays records of services onto topics whose types only services write.
            sent = [MODELS[each].__name__ for each in family.types_of(writer)] or names_of(family)
            summary = f"{writer} writes {family.name}."
            yield f"{writer}.send.{family.slug}", _operation("send", writer, family, sent, summary)
        for reader in family.readers:
            summary = f"{reader} reads {family.name}."
            operation = _operation("receive", reader, family, names_of(family), summary)
            if groups := _groups(reader, family):
                operation["bindings"] = {
                    "kafka": {
                        "groupId": {"type": "string", **_one_of(groups)},
                        "bindingVersion": BINDING,
                    }
                }
            yield f"{reader}.receive.{family.slug}", operation


def _operation(action: str, party: str, family: Family, names: list[str], summary: str) -> Node:
    channel = f"#/channels/{family.slug}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "tags": [{"name": party}],
        "messages": [{"$ref": f"{channel}/messages/{each}"} for each in names],
    }


def _groups(reader: str, family: Family) -> list[str]:
    """Return the consumer groups in which a reader consumes a topic. Registers, and a topic that
    a service reads to check its own writes, are read without a group."""
    name = family.topic.name
    in_group = name in SOURCES if reader == INTAKE else bool(family.topic.types)
    return groups_of(reader) if in_group or name.endswith(".replay") else []


def _one_of(groups: list[str]) -> Node:
    if any("{" in group for group in groups):
        return {"pattern": "^" + groups[0].replace("{province}", r"\d{6}") + "$"}
    return {"enum": groups}


def _trait() -> Node:
    return {
        "name": "cloudevents-headers-kafka-binary",
        "summary": "The headers of a CloudEvent in Kafka's binary content mode.",
        "description": "The attributes and names of the trait that the CloudEvents specification "
        "publishes for AsyncAPI. tongban always writes time, subject and content type, which are "
        "optional there, and adds the headers ce_repeat, traceparent and replay_of.",
        "externalDocs": {
            "description": "The Kafka protocol binding of CloudEvents 1.0.2",
            "url": "https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/"
            "kafka-protocol-binding.md",
        },
        "headers": {
            "type": "object",
            "required": [each for each in _HEADERS if each not in _OPTIONAL_HEADERS],
            "properties": {name: {"type": "string", **each} for name, each in _HEADERS.items()},
        },
    }


def _schemas() -> dict[str, Schema]:
    """Return the schemas of all bodies and of the objects within them, by the models' names."""
    found: dict[str, Schema] = {}
    models: list[type[BaseModel]] = [*MODELS.values(), Acceptance]
    made = {model.__name__: plain_schema(model) for model in models}
    made |= {state.model.__name__: state.schema() for state in STATES.values()}
    for title, schema in made.items():
        for name, part in schema.pop("$defs", {}).items():
            found[name] = _draft7(part)
        found[title] = _draft7(schema)
    return dict(sorted(found.items()))


def _draft7(node: Any) -> Any:
    """Return a schema of draft 2020-12 in the dialect of AsyncAPI, a superset of draft 07: it
    ignores what stands beside a reference, and has its definitions elsewhere."""
    if isinstance(node, list):
        return [_draft7(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {name: _draft7(value) for name, value in node.items()}
    if isinstance(reference := node.get("$ref"), str):
        there = {"$ref": reference.replace("#/$defs/", "#/components/schemas/")}
        others = {name: value for name, value in made.items() if name != "$ref"}
        return {"allOf": [there], **others} if others else there
    return made
