"""Make the messages of the AsyncAPI document: events, states of registers, and opaque records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tongban_common.catalogue import Item
from tongban_common.control.connectors import ConnectorState
from tongban_common.control.optouts import OptOut
from tongban_common.control.provinces import ProvinceControl
from tongban_common.events import MODELS
from tongban_common.events.models.base import REQUEST_ID_FORM
from tongban_common.topics import (
    ASSERTIONS_USED,
    CATALOGUE_ITEMS,
    CONNECTORS,
    CONNECTORS_STATE,
    CONTROL_ASSISTANTS,
    CONTROL_DEAD_LETTERS,
    CONTROL_KIOSKS,
    CONTROL_OPTOUTS,
    CONTROL_PROVINCES,
    KIOSKS_HELP,
    ROUTER_CHANGELOG,
)
from tongban_intake.access.enrolment.assistants import AssistantRecord
from tongban_intake.access.enrolment.kiosks import KioskRecord
from tongban_intake.live.help_calls import HelpCall
from tongban_kafka import Acceptance
from tongban_ops.event_documents.examples import example
from tongban_ops.event_documents.families import Family
from tongban_ops.event_documents.markdown import one_line
from tongban_ops.event_documents.schemas import Schema, plain_schema
from tongban_ops.operators.settlements import DeadLetterSettled

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A kind of record that is the newest state of the thing that its key names."""

    model: type[BaseModel]
    key: str | None
    """The field that is the key; None: the key is made of two fields."""
    nulls: bool = False
    """True if a field without a value is null, false if it is left out."""

    def schema(self) -> Schema:
        """Return the JSON Schema of a record's value."""
        return plain_schema(self.model, nulls=self.nulls)


TRAIT = "CloudEventsKafkaBinary"
BINDING = "0.5.0"
KEY_LOCATION = "x-key-location"
"""Names the place of the record's key in its value, as a runtime expression of AsyncAPI."""
STATES: dict[str, TopicState] = {
    CATALOGUE_ITEMS: TopicState(Item, "code", nulls=True),
    CONTROL_KIOSKS: TopicState(KioskRecord, "kiosk_id", nulls=True),
    CONTROL_ASSISTANTS: TopicState(AssistantRecord, "assistant_id", nulls=True),
    CONTROL_PROVINCES: TopicState(ProvinceControl, "province"),
    CONTROL_DEAD_LETTERS: TopicState(DeadLetterSettled, "id"),
    CONTROL_OPTOUTS: TopicState(OptOut, "digest"),
    CONNECTORS_STATE: TopicState(ConnectorState, None),
    KIOSKS_HELP: TopicState(HelpCall, "kiosk_id"),
}
"""The topics whose records are states."""
_REGISTERS = (CONTROL_KIOSKS, CONTROL_ASSISTANTS, CONTROL_PROVINCES, CONTROL_OPTOUTS)
"""Topics on which `tongban topics accept-holes` writes."""
_ACCEPTED = "accepted-holes/"
_OPAQUE = {
    ASSERTIONS_USED: ("AssertionUse", "The use of an assertion. Key and value are bytes."),
    ROUTER_CHANGELOG: ("TableEntry", "An entry of the router's table, in its own format."),
}
_DEAD_LETTER_HEADERS = {
    "dlt_group": "Consumer group that gave the record up.",
    "dlt_topic": "Topic of the record.",
    "dlt_partition": "Partition of the record.",
    "dlt_offset": "Offset of the record.",
    "dlt_timestamp_ms": "Timestamp of the record, Unix time in milliseconds.",
    "dlt_reason": "Why the record was given up, without any of its values.",
    "dlt_exception": "Type of the exception.",
    "dlt_where": "File and line of the exception.",
    "dlt_attempts": "Number of attempts.",
    "dlt_first_failed_ms": "Time of the first failure, Unix time in milliseconds.",
    "dlt_last_failed_ms": "Time of the last failure, Unix time in milliseconds.",
}


def names_of(family: Family) -> list[str]:
    """Return the names of a topic's messages."""
    name = family.topic.name
    if family.topic.types:
        return [MODELS[each].__name__ for each in family.topic.types]
    if name in STATES:
        state = STATES[name].model.__name__
        return [state, Acceptance.__name__] if name in _REGISTERS else [state]
    if name in _OPAQUE:
        return [_OPAQUE[name][0]]
    if name.endswith(".dlt"):
        return ["DeadLetter"]
    return ["ReplayedRecord"] if name.endswith(".replay") else []


def messages(family: Family) -> dict[str, Node]:
    """Return the messages of a topic by their names."""
    (*others,) = names_of(family)
    name = family.topic.name
    if family.topic.types:
        return {MODELS[each].__name__: _event(family, each) for each in family.topic.types}
    if name in STATES:
        made = {others[0]: _state(STATES[name])}
        return made if len(others) == 1 else {**made, others[1]: _acceptance()}
    return {each: _opaque(family, each) for each in others}


def _event(family: Family, event_type: str) -> Node:
    model = MODELS[event_type]
    record = example(family, event_type)
    sources = "|".join(_source(each) for each in family.writers_of(event_type))
    return {
        "name": event_type,
        "title": model.__name__,
        "summary": first_sentence(model.__doc__),
        "contentType": "application/json",
        "traits": [{"$ref": f"#/components/messageTraits/{TRAIT}"}],
        "headers": {
            "type": "object",
            "properties": {
                "ce_type": {"const": event_type},
                "ce_source": {"pattern": f"^tongban/({sources})$"},
            },
        },
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "correlationId": {
            "description": "All records of one request have the same id.",
            "location": "$message.payload#/request_id",
        },
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "pattern": REQUEST_ID_FORM,
                    "description": "The id of the request, in UTF-8.",
                },
                "bindingVersion": BINDING,
            }
        },
        KEY_LOCATION: "$message.payload#/request_id",
        "examples": [
            {"name": "example", "headers": record.headers, "payload": record.value},
        ],
    }


def _source(writer: str) -> str:
    return rf"{CONNECTORS}/(\d{{6}}|callbacks)" if writer == CONNECTORS else writer


def _acceptance() -> Node:
    """Return the message that each register may contain besides its states."""
    node = _state(TopicState(Acceptance, None))
    node["description"] = (
        "An operator has made up for records of this topic that could not be read: "
        "`tongban topics accept-holes`."
    )
    node["bindings"]["kafka"]["key"] = {
        "type": "string",
        "pattern": f"^{_ACCEPTED}[0-9]+$",
        "description": "The number of the partition follows.",
    }
    return node


def _state(state: TopicState) -> Node:
    model, key = state.model, state.key
    described = f"The field `{key}`." if key else "Two fields, as the topic's page says."
    node: Node = {
        "name": model.__name__,
        "title": model.__name__,
        "summary": first_sentence(model.__doc__),
        "description": "The newest state of the thing that the key names; it is no CloudEvent.",
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": ["content-type"],
            "properties": {"content-type": {"const": "application/json"}},
        },
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "pattern": f"^(?!{_ACCEPTED}).",
                    "description": described,
                },
                "bindingVersion": BINDING,
            }
        },
    }
    if key:
        node[KEY_LOCATION] = f"$message.payload#/{key}"
    return node


def _opaque(family: Family, name: str) -> Node:
    summary = next((text for known, text in _OPAQUE.values() if known == name), family.text)
    node: Node = {"name": name, "title": name, "summary": summary}
    node["contentType"] = "application/octet-stream"
    if name == "DeadLetter":
        node["summary"] = "A record that a consumer group gave up."
        node["description"] = (
            "Key, value and headers are those of the record; a value that left no room for the "
            "headers below is empty. `tongban dlt show` reads them."
        )
        node["headers"] = {
            "type": "object",
            "required": list(_DEAD_LETTER_HEADERS),
            "properties": {
                each: {"type": "string", "description": text}
                for each, text in _DEAD_LETTER_HEADERS.items()
            },
            "additionalProperties": True,  # those of the record
        }
    if name == "ReplayedRecord":
        node["summary"] = "A record that an operator sends to its consumer once more."
        node["headers"] = {
            "type": "object",
            "required": ["replay_of"],
            "properties": {
                "replay_of": {"type": "string", "description": "Id of the dead letter."},
                "ce_repeat": {"const": "true"},
            },
            "additionalProperties": True,  # those of the record
        }
    node["payload"] = {"description": "Bytes that only the reader of the topic understands."}
    return node


def first_sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring in one line."""
    return one_line(re.split(r"\n\s*\n", text or "", maxsplit=1)[0])
