"""Collect every record on Kafka about one request, in order.

A request's records lie in the partition that its id hashes to, so one partition of each topic is
read. The id does not tell when the request was made (otherwise ids could be guessed). So the two
topics that begin its story are read from their beginnings, the others from its first record on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tongban_common import topics
from tongban_common.domain.status import OutcomeKind
from tongban_common.events import Body, Event, MalformedEventError, decode
from tongban_common.events.models import (
    DocumentStored,
    FeedbackRated,
    NotificationReported,
    OperatorDecision,
    PrintConfirmed,
    PrintOrdered,
    PrintReported,
    ProvinceCall,
    ProvinceOutcome,
    RequestStatus,
    RequestSubmitted,
    Sealed,
    TimerDue,
)
from tongban_common.private_texts import REASON, part_of
from tongban_kafka import OnProgress, Place, Record, Snapshot, partition_of
from tongban_ops.operators.dead_letters import SUFFIX, known_groups, read_letter

_BEGINNINGS = (topics.REQUESTS_SUBMITTED, topics.REQUESTS_STATUS)
_OTHERS = (
    topics.REQUESTS_COMMANDS,
    topics.ROUTER_TIMERS,
    topics.REQUESTS_OUTCOMES,
    topics.REQUESTS_COMPLETED,
    topics.PRINT_ORDERS,
    topics.DOCUMENTS_PRINTED,
    topics.NOTIFICATIONS_SENT,
    topics.FEEDBACK_RATED,
)
_SKEW_MS = 60_000
"""Allowed difference between writers' clocks."""
_RANK = {
    topic: rank
    for rank, topic in enumerate(
        (
            topics.REQUESTS_SUBMITTED,
            topics.REQUESTS_COMMANDS,
            topics.ROUTER_TIMERS,
            topics.REQUESTS_OUTCOMES,
            topics.REQUESTS_STATUS,
            topics.REQUESTS_COMPLETED,
        )
    )
}
"""Causal order for records of the same millisecond."""


@dataclass(frozen=True, slots=True)
class Step:
    """One record about the request."""

    record: Record
    event: Event[Body] | None
    what: str
    """Summary in words, without personal data."""
    answers: str | None = None
    """Id of the call that this outcome answers."""
    latency_ms: int | None = None
    """Milliseconds from the newest sending of that call to its answer."""


@dataclass(frozen=True, slots=True)
class Trace:
    """All steps of a request; empty if the id is unknown."""

    request_id: str
    steps: list[Step]

    @property
    def newest(self) -> RequestStatus | None:
        """Return the status with the highest sequence number."""
        bodies = (step.event.body for step in self.steps if step.event is not None)
        statuses = [body for body in bodies if isinstance(body, RequestStatus)]
        return max(statuses, key=lambda status: status.seq, default=None)


async def trace(
    snapshot: Snapshot,
    request_id: str,
    *,
    whole: bool = True,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Trace:
    """Read the records of a request.

    Args:
        whole: if false, read submission and history only, which give its present state.

    Raises:
        KafkaUnavailableError: see `Snapshot`.
    """
    key = request_id.encode()
    found = await _read(snapshot, key, _BEGINNINGS, None, on_progress)
    if whole:
        provinces = _provinces(found)
        since = min((record.timestamp_ms for record in found), default=None)
        others = [
            *_OTHERS,
            *map(topics.province_requests, provinces or topics.PROVINCES),
            *map(topics.dead_letter, known_groups()),
            *map(topics.replay, topics.REPLAY_GROUPS),
        ]
        since = None if since is None else since - _SKEW_MS
        found += await _read(snapshot, key, others, since, on_progress)
    found.sort(key=lambda r: (r.timestamp_ms, _RANK.get(r.topic, len(_RANK)), r.topic, r.offset))
    return Trace(request_id, list(_with_latencies(found)))


async def _read(
    snapshot: Snapshot,
    key: bytes,
    names: Iterable[str],
    since_ms: int | None,
    on_progress: OnProgress,
) -> list[Record]:
    """Return all records with that key, from the one partition of each topic that holds it."""
    counts: dict[str, int] = {}
    for topic, _ in await snapshot.partitions(names):
        counts[topic] = counts.get(topic, 0) + 1
    places: list[Place] = [(topic, partition_of(key, count)) for topic, count in counts.items()]
    return [
        record
        async for record in snapshot.read(places, since_ms=since_ms, on_progress=on_progress)
        if record.key == key
    ]


def _provinces(records: Iterable[Record]) -> set[str]:
    """Return the provinces to which the request may have been sent."""
    found = set()
    for record in records:
        body = _decoded(record)
        if body is not None and isinstance(body.body, (RequestSubmitted, RequestStatus)):
            found.add(body.body.item.province)
    return found


def _decoded(record: Record) -> Event[Body] | None:
    try:
        return decode(record.value, record.headers)
    except MalformedEventError:
        return None


def _with_latencies(records: Iterable[Record]) -> Iterable[Step]:
    sent_at: dict[str, int] = {}
    for record in records:
        event = _decoded(record)
        step = Step(record, event, describe(record, event))
        if event is not None and not record.topic.endswith(SUFFIX):
            match event.body:
                case ProvinceCall() as call:
                    sent_at[call.call_id] = record.timestamp_ms
                case ProvinceOutcome() as outcome if _is_answer(outcome, sent_at):
                    took = record.timestamp_ms - sent_at[outcome.call_id]
                    step = Step(record, event, step.what, outcome.call_id, took)
        yield step


def _is_answer(outcome: ProvinceOutcome, sent_at: Mapping[str, int]) -> bool:
    return outcome.call_id in sent_at and outcome.outcome is not OutcomeKind.WAITING


def describe(record: Record, event: Event[Body] | None) -> str:
    """Describe a record in one line: states, causes and reasons, no personal data."""
    if record.topic.endswith(SUFFIX):
        letter = read_letter(record)
        return f"dead letter {letter.id} from {letter.place}: {letter.cause}"
    if event is None:
        return "a record that cannot be decoded"
    what = _of(event.body)
    return f"{what} (repeat)" if event.repeat else what


def _of(body: Body) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each type of event
    match body:
        case RequestSubmitted():
            origin = body.origin
            return f"submitted: {body.item.name} by {origin.kiosk_id}, {origin.channel}"
        case RequestStatus():
            kind = "note" if body.note else "status"
            own = _joined(f"{kind} {body.seq}: {body.status}", body.reason)
            return _joined(own, _words(body.sealed))
        case ProvinceCall():
            return f"call {body.call} to {body.item.province}" + (", closing" * body.closing)
        case ProvinceOutcome():
            cause = body.cause if body.outcome in (OutcomeKind.WAITING, OutcomeKind.HELD) else None
            own = _joined(f"outcome of {body.call}: {body.outcome}", cause, body.reason)
            return _joined(own, _words(body.sealed))
        case OperatorDecision():
            own = f"operator {body.by}: {body.decision}"
            return _joined(own, body.reason, _words(body.sealed))
        case TimerDue():
            return "a moment has come"
        case PrintOrdered():
            return f"print ordered: copy {body.copy_number} at {body.kiosk_id}"
        case PrintConfirmed():
            came = "came out" if body.printed else "did not come out"
            return f"print {body.seq} answered by {body.by}: the sheet {came}"
        case PrintReported():
            what = f"print {body.seq}: {body.status}, copy {body.copy_number} at {body.kiosk_id}"
            return _joined(what, body.reason)
        case DocumentStored():
            return f"document stored: {body.document.title}, {body.document.pages} pages"
        case NotificationReported():
            return _joined(f"message {body.template} by {body.channel}: {body.status}", body.reason)
        case FeedbackRated():
            return f"rated {body.grade} of 5"
        case _:
            return body.TYPE.removeprefix("tongban.").removesuffix(".v1").replace(".", " ")


def _words(sealed: Sealed | None) -> str | None:
    """Mention a sealed reason without its content."""
    return None if part_of(sealed, REASON) is None else "words sealed"


def _joined(what: str, *more: str | None) -> str:
    return ", ".join([what, *filter(None, more)])
