"""Checks all that a run wrote on its topics against the published document alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.published_events_kit import PlainRecord, PublishedDocument, UndocumentedError

INTERNAL = {
    "__consumer_offsets": "the broker's own",
    "__transaction_state": "the broker's own",
    "tongban-router-__assignor-__leader": "Faust's own; it stays empty",
}
"""Topics that the document leaves out, with the reason."""
NOT_EXERCISED = {
    "tongban.province.notice.v1": "only a province that calls back sends it: "
    "test_callbacks_anywhere.py checks it",
    "tongban.request.republish.v1": "only `tongban rebuild` sends it: test_rebuild.py checks it",
    "tongban.print.confirmed.v1": "only an interrupted print asks for it: "
    "tests/integration/printing/test_questions.py checks it",
}
"""Types of events that this run does not write, with the reason."""


@dataclass
class CheckedRun:
    """Counts what the document says of the records of a run."""

    seen: Counter[str] = field(default_factory=Counter)
    """Number of records of each message of the document."""
    foreign: Counter[str] = field(default_factory=Counter)
    """Number of refused records that the tests themselves wrote, past all services."""
    faults: list[str] = field(default_factory=list)
    """Faults of all other refused records."""
    types_missing: frozenset[str] = frozenset()
    """Types of events of the document that no record has."""


def checked(records: Mapping[str, Sequence[Any]]) -> CheckedRun:
    """Check every record; `records` are those of a plain client, by topic."""
    document = PublishedDocument.load()
    run = CheckedRun()
    types: set[str] = set()
    for topic in records.keys() - INTERNAL.keys():
        for raw in records[topic]:
            record = PlainRecord(topic, raw.key, raw.value, list(raw.headers))
            try:
                run.seen[document.check(record)] += 1
                types.add(record.type)
            except UndocumentedError as error:
                if kind := foreign_kind(record):
                    run.foreign[kind] += 1
                else:
                    run.faults.append(str(error))
    run.types_missing = frozenset(document.event_types - types)
    return run


def of_type(records: Mapping[str, Sequence[Any]], event_type: str) -> int:
    """Check every record of one type of event; return how many there are.

    Raises:
        UndocumentedError: one of them is not as the document says.
    """
    document, seen = PublishedDocument.load(), 0
    for topic, found in records.items():
        for raw in found:
            record = PlainRecord(topic, raw.key, raw.value, list(raw.headers))
            if record.type == event_type:
                document.check(record)
                seen += 1
    return seen


def foreign_kind(record: PlainRecord) -> str | None:
    """Return the name by which tests/e2e/private_matters.py calls a record that it writes itself;
    None for others."""
    if record.topic == "requests.commands" and record.value == b"\xff":
        return "garbage"
    is_forged = dict(record.headers).get("ce_source") == b"test"
    return "forged" if record.topic == "requests.submitted" and is_forged else None


def topic_faults(topics: Mapping[str, tuple[int, Mapping[str, str]]]) -> list[str]:
    """Return where the topics of a broker differ from the document: missing or unknown topics, and
    wrong numbers of partitions and settings."""
    document = PublishedDocument.load()
    faults = []
    for topic in sorted(topics.keys() - INTERNAL.keys()):
        try:
            channel, _ = document.channel(topic)
        except UndocumentedError as error:
            faults.append(str(error))
            continue
        binding = channel["bindings"]["kafka"]
        count, settings = topics[topic]
        if count != binding["partitions"]:
            faults.append(f"{topic}: {count} partitions, not {binding['partitions']}")
        for name, wanted in binding["topicConfiguration"].items():
            text = ",".join(wanted) if isinstance(wanted, list) else str(wanted)
            if settings[name] != text:
                faults.append(f"{topic}: {name} is {settings[name]}, not {text}")
    named = {name for name in document.topics() if name not in topics}
    return faults + [f"{name}: not on the broker" for name in sorted(named)]
