"""Group the topics of the registry into families: those that differ in a province's code alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from tongban_common.events.models import OperatorDecision, PrintConfirmed, RepublishRequested
from tongban_common.topics import CONNECTORS, GROUPS, OPERATORS, PROVINCES, TOPICS, Topic

TEXTS = Path(__file__).with_name("topics.yaml")
"""This file says what each topic is for."""
_PROVINCE = re.compile(r"(?<=^province\.)\d{6}(?=\.)|(?<=^connectors-)\d{6}(?=\.)")
_BY_OPERATORS_ALONE = frozenset({OperatorDecision.TYPE, RepublishRequested.TYPE})
_BY_OPERATORS_TOO = frozenset({PrintConfirmed.TYPE})
"""Types of events that operators' commands write on topics of a service."""
_OF_PROVINCE = f"{CONNECTORS} of "


@dataclass(frozen=True, slots=True)
class Family:
    """A topic, or the topics that differ in the code of a province alone."""

    name: str
    """The topic's name, with `*` instead of a province's code."""
    topic: Topic
    """The first topic of the family; the others have the same settings."""
    text: str
    """Says what the topic is for."""

    @property
    def slug(self) -> str:
        """Return the name of the channel and of the page: without the `*`."""
        return self.name.replace(".*.", ".").replace("-*.", ".")

    @property
    def address(self) -> str:
        """Return the name with `{province}` instead of the `*`, as AsyncAPI wants it."""
        return self.name.replace("*", "{province}")

    @property
    def of_provinces(self) -> bool:
        """Return True if each province has such a topic."""
        return "*" in self.name

    @property
    def writers(self) -> list[str]:
        """Return who writes the topic, the owner first."""
        return [_party(each) for each in (self.topic.owner, *self.topic.also_written_by)]

    @property
    def readers(self) -> list[str]:
        """Return who reads the topic."""
        return [_party(each) for each in self.topic.readers]

    def types_of(self, writer: str) -> list[str]:
        """Return the types of events that a writer sends on this topic."""
        return [each for each in self.topic.types if writer in self.writers_of(each)]

    def writers_of(self, event_type: str) -> list[str]:
        """Return who writes events of a type on this topic."""
        if event_type in _BY_OPERATORS_ALONE:
            return [OPERATORS]
        too = [OPERATORS] if event_type in _BY_OPERATORS_TOO else []
        return [_party(self.topic.owner), *too]

    @property
    def kept(self) -> str:
        """Return in words how long the topic keeps a record."""
        if self.topic.expires_ms is not None:
            return f"newest of each key, {_span(self.topic.expires_ms)}"
        if self.topic.retention_ms is None:
            return "newest of each key"
        return _span(self.topic.retention_ms)

    @property
    def cleanup(self) -> str:
        """Return the broker's clean-up policy of the topic."""
        return self.topic.kafka_config()["cleanup.policy"]


def families() -> list[Family]:
    """Return every family, in the order of the registry."""
    first: dict[str, Topic] = {}
    for topic in TOPICS.values():
        first.setdefault(_PROVINCE.sub("*", topic.name), topic)
    known = texts()
    return [Family(name, topic, known[name]) for name, topic in first.items()]


def texts() -> dict[str, str]:
    """Return what each topic is for."""
    return dict(yaml.safe_load(TEXTS.read_text(encoding="utf-8")))


def groups_of(party: str) -> list[str]:
    """Return the consumer groups of a reader; `{province}` stands for a province's code."""
    found = {
        group.replace(PROVINCES[0], "{province}"): _party(member)
        for group, member in GROUPS.items()
        if group[-6:] not in PROVINCES[1:]
    }
    return [group for group, member in found.items() if member == party]


def _party(name: str) -> str:
    return CONNECTORS if name.startswith(_OF_PROVINCE) else name


def _span(milliseconds: int) -> str:
    span = timedelta(milliseconds=milliseconds)
    hours = span // timedelta(hours=1)
    return f"{span.days} days" if span.days > 1 else f"{hours} hour{'s' if hours > 1 else ''}"
