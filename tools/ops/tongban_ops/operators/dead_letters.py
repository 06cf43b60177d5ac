"""Read dead letters from the `<group>.dlt` topics, with what operators did about them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from tongban_common import topics
from tongban_common.domain.ids import REQUEST_ID
from tongban_common.events import Body, Event, MalformedEventError, decode
from tongban_kafka import (
    DEAD_LETTER_NEXT_OFFSET,
    DEAD_LETTER_PREFIX,
    DEAD_LETTER_VALUE_BYTES,
    OnProgress,
    Place,
    Record,
    Snapshot,
)
from tongban_ops.operators.settlements import DeadLetterSettled

SUFFIX = topics.dead_letter("")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of a dead-letter topic, with the `dlt_*` headers of its failure."""

    record: Record
    event: Event[Body] | None
    fault: str | None
    """Why it cannot be decoded, without any of its values."""
    settled: DeadLetterSettled | None = None

    @property
    def id(self) -> str:
        """Return `GROUP@OFFSET`, or `GROUP/PARTITION@OFFSET` where the topic has several
        partitions."""
        return letter_id(self.record)

    @property
    def group(self) -> str:
        """Return the consumer group that gave it up."""
        return self.record.topic.removesuffix(SUFFIX)

    def header(self, name: str) -> str:
        """Return a `dlt_*` header; empty if it is missing (another writer wrote the record)."""
        return (self.record.header(DEAD_LETTER_PREFIX + name) or b"").decode("utf-8", "replace")

    @property
    def source(self) -> str:
        """Return the topic from which it was read."""
        return self.header("topic")

    @property
    def place(self) -> str:
        """Return the place from which it was read, `topic/partition@offset`."""
        return f"{self.source}/{self.header('partition')}@{self.header('offset')}"

    @property
    def cause(self) -> str:
        """Return the cause that the worker recorded."""
        return self.header("reason")

    @property
    def exception(self) -> str:
        """Return the exception's type and where it was raised."""
        where = self.header("where")
        return f"{self.header('exception')} at {where}" if where else self.header("exception")

    @property
    def failed_ms(self) -> int:
        """Return when it was given up, in Unix milliseconds."""
        text = self.header("last_failed_ms")
        return int(text) if text.isdecimal() else self.record.timestamp_ms

    @property
    def request_id(self) -> str | None:
        """Return the request that it belongs to; None if that cannot be read."""
        if self.event is not None:
            return self.event.body.request_id
        key = (self.record.key or b"").decode("ascii", "replace")
        return key if REQUEST_ID.fullmatch(key) else None


def letter_id(record: Record) -> str:
    """Return the id of a dead letter, see `DeadLetter.id`."""
    partition = f"/{record.partition}" if record.partition else ""
    return f"{record.topic.removesuffix(SUFFIX)}{partition}@{record.offset}"


def place_of(text: str) -> tuple[Place, int]:
    """Parse an id into partition and offset.

    Raises:
        ValueError: the text is no id.
    """
    where, at, offset = text.rpartition("@")
    group, _, partition = where.partition("/")
    if not (at and group and offset.isdecimal()) or (partition and not partition.isdecimal()):
        raise ValueError(f"a dead letter's id looks like printing@17, not {text!r}")
    return (topics.dead_letter(group), int(partition or 0)), int(offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSelection:
    """Criteria that select dead letters; an empty one selects all."""

    ids: Collection[str] = ()
    groups: Collection[str] = ()
    sources: Collection[str] = ()
    """Topics from which they were read."""
    cause: str = ""
    """Case-insensitive substring of the cause or of the exception."""
    request: str = ""
    since: datetime | None = None
    """First moment of being given up (wall clock); `until` is exclusive."""
    until: datetime | None = None
    settled: bool = False
    """Include those that were settled."""

    @property
    def narrows(self) -> bool:
        """Return True if a criterion is set."""
        return bool(
            self.ids or self.groups or self.sources or self.cause or self.request
            or self.since or self.until
        )  # fmt: skip

    def matches(self, letter: DeadLetter) -> bool:
        """Return True if the dead letter fits all criteria."""
        wanted = (
            not self.ids or letter.id in self.ids,
            not self.sources or letter.source in self.sources,
            self.cause.lower() in f"{letter.cause} {letter.exception}".lower(),
            not self.request or letter.request_id == self.request,
            self.since is None or letter.failed_ms >= self.since.timestamp() * 1000,
            self.until is None or letter.failed_ms < self.until.timestamp() * 1000,
            self.settled or letter.settled is None,
        )
        return all(wanted)


def read_letter(record: Record, settled: DeadLetterSettled | None = None) -> DeadLetter:
    """Decode a record of a dead-letter topic."""
    event, fault = None, None
    if (after := record.header(DEAD_LETTER_NEXT_OFFSET)) is not None:
        first = (record.header(f"{DEAD_LETTER_PREFIX}offset") or b"").decode("ascii", "replace")
        last = int(after) - 1 if after.isdigit() else "?"
        fault = f"an unreadable batch: offsets {first} to {last} were not handled"
    elif (size := record.header(DEAD_LETTER_VALUE_BYTES)) is not None:
        length = size.decode("ascii", "replace")
        fault = f"too large to be put aside with its value of {length} bytes"
    else:
        try:
            event = decode(record.value, record.headers)
        except MalformedEventError as error:
            fault = str(error)
    return DeadLetter(record, event, fault, settled)


async def read_settled(snapshot: Snapshot) -> dict[str, DeadLetterSettled]:
    """Return the newest settlement of each dead letter, by id."""
    return await snapshot.newest(topics.CONTROL_DEAD_LETTERS, DeadLetterSettled.from_record)


async def read_dead_letters(
    snapshot: Snapshot,
    selection: DeadLetterSelection,
    *,
    groups: Collection[str],
    on_progress: OnProgress = lambda _done, _total: None,
) -> list[DeadLetter]:
    """Return the selected dead letters, oldest first.

    Args:
        groups: every group with a dead-letter topic; the selection may name fewer.

    Raises:
        KafkaUnavailableError: see `Snapshot`.
        ValueError: a malformed id.
    """
    settled = await read_settled(snapshot)
    offsets: dict[Place, int] = {}
    if selection.ids:
        for place, offset in map(place_of, selection.ids):
            offsets[place] = min(offset, offsets.get(place, offset))
        known = set(await snapshot.partitions({topic for topic, _ in offsets}))
        offsets = {place: offset for place, offset in offsets.items() if place in known}
        places = list(offsets)
    else:
        named = [topics.dead_letter(group) for group in selection.groups or groups]
        places = await snapshot.partitions(named)
    since = None if selection.since is None else int(selection.since.timestamp() * 1000)
    letters = []
    records = snapshot.read(places, since_ms=since, from_offsets=offsets, on_progress=on_progress)
    async with aclosing(records):
        async for record in records:
            letter = read_letter(record, settled.get(letter_id(record)))
            if selection.matches(letter):
                letters.append(letter)
                if len(letters) == len(set(selection.ids)):
                    break
    return sorted(letters, key=lambda letter: (letter.failed_ms, letter.id))


def known_groups() -> list[str]:
    """Return every consumer group of the registry that has a dead-letter topic."""
    return [name.removesuffix(SUFFIX) for name in topics.TOPICS if name.endswith(SUFFIX)]
