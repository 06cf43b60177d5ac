"""Plan the replay of dead letters (ADR 0011): a pure function from dead letters to records.

A dead letter is old: its effect may have happened, been withdrawn or been overtaken since. So
neither a call to a province nor a province's answer is sent again as it was. Its request is `held`;
an operator's decision resumes it, and the router, which has the newest state, repeats what is still
open. A submission or a command of a person exists nowhere else, so the record itself is sent again.
Dead letters of other consumers go to that consumer alone, marked as repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from tongban_common import topics
from tongban_common.domain.ids import derived_id
from tongban_common.envelope import KeyRing
from tongban_common.events import Event, encode
from tongban_common.events.cloudevents import REPEAT, REPLAY_OF
from tongban_common.events.models import (
    OperatorDecision,
    RequestSubmitted,
    Sealed,
    SupplementHanded,
    WithdrawalAsked,
)
from tongban_kafka import DEAD_LETTER_PREFIX
from tongban_ops.operators.dead_letters import DeadLetter
from tongban_ops.operators.reasons import ENDED, RESUMED, OperatorReason, about_request

SOURCE = "tongban/operators"
_GROUP_OF_PROVINCE = topics.connector_group("")
Outgoing = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Topic, key, value, headers."""


class Way(StrEnum):
    """Way in which a dead letter is replayed."""

    RESUME = "resume"
    """An operator's decision resumes the request."""
    AGAIN = "again"
    """The record itself is sent again, marked as a repeat."""


@dataclass(slots=True)
class Replay:
    """Dead letters that are settled together, and the records to write for them, in order."""

    letters: list[DeadLetter]
    ways: list[Way] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)
    withheld: bool = False
    """True if the operator's reason could not be sealed and was left out."""


@dataclass(frozen=True, slots=True)
class ReplayRefusal:
    """A dead letter for which nothing can be written, and why."""

    letter: DeadLetter
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The operator who decides, when (business time), and the reason for the timeline."""

    by: str
    at: datetime
    reason: str = RESUMED
    keys: KeyRing | None = None
    """Seals the reason; without it, a text that is not on the list is withheld."""

    def publishable_reason(self, request_id: str, sealed: Sealed | None) -> OperatorReason:
        """Return the reason as it may be published about a request."""
        return about_request(self.reason, self.keys, request_id, sealed)


def plan(
    letters: Iterable[DeadLetter], operator: Operator
) -> tuple[list[Replay], list[ReplayRefusal]]:
    """Plan the replay of dead letters.

    Those of one held request are replayed as one, together with dead letters of the same records
    that other groups could not decode.
    """
    replays: list[Replay] = []
    refused: list[ReplayRefusal] = []
    of_request: dict[str, Replay] = {}
    with_others: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        if moves_request(letter):
            request_id = letter.request_id
            if request_id is None:
                refused.append(ReplayRefusal(letter, "no request id can be read from it"))
                continue
            replay = of_request.get(request_id)
            if replay is None:
                replay = of_request[request_id] = Replay([])
                replays.append(replay)
            replay.letters.append(letter)
        elif letter.event is None:
            with_others.setdefault(letter.place, []).append(letter)
        elif letter.group not in topics.REPLAY_GROUPS:
            refused.append(ReplayRefusal(letter, f"no topic for replays to group {letter.group}"))
        else:
            again = _again(letter, topics.replay(letter.group))
            replays.append(Replay([letter], [Way.AGAIN], [again]))
    for request_id, replay in of_request.items():
        _resume(replay, request_id, operator)
        for place in dict.fromkeys(letter.place for letter in replay.letters):
            replay.letters += with_others.pop(place, [])
    for letter in (letter for rest in with_others.values() for letter in rest):
        why = f"it cannot be decoded and would come back ({letter.fault})"
        refused.append(ReplayRefusal(letter, why))
    return replays, refused


def of_decision(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Return the dead letters that a decision about their request settles: those for which it is
    held, and those of the same records that other groups could not decode. No other replay is
    possible for them."""
    places = {letter.place for letter in letters if moves_request(letter)}
    return [
        letter
        for letter in letters
        if moves_request(letter) or (letter.event is None and letter.place in places)
    ]


def moves_request(letter: DeadLetter) -> bool:
    """Return True if its request is held because of it: dead letters of connectors and of the
    router."""
    return letter.group == topics.ROUTER_APP or letter.group.startswith(_GROUP_OF_PROVINCE)


def _resume(replay: Replay, request_id: str, operator: Operator) -> None:
    router_s = [letter for letter in replay.letters if letter.group == topics.ROUTER_APP]
    bodies = [(letter, letter.event.body) for letter in router_s if letter.event is not None]
    # Write earlier decisions and the submission first: as long as the router has not applied the
    # submission, there is nothing to resume.
    for letter, body in bodies:
        if isinstance(body, OperatorDecision):
            replay.records.append(_again(letter, topics.REQUESTS_COMMANDS))
        elif isinstance(body, RequestSubmitted):
            replay.records.append(_again(letter, topics.REQUESTS_SUBMITTED))
    newest = replay.letters[-1]
    times = newest.settled.times if newest.settled else 0
    name = derived_id("operator", "resume", newest.id, times)
    envelopes = (
        getattr(letter.event.body, "sealed", None) for letter in replay.letters if letter.event
    )
    sealed = next(filter(None, envelopes), None)
    replay.records.append(decision(request_id, "resume", operator, name, sealed))
    replay.withheld = operator.publishable_reason(request_id, sealed).withheld
    replay.ways = [Way.RESUME]
    # Write commands last, on the same partition: the router applies them to a resumed request.
    for letter, body in bodies:
        if isinstance(body, (SupplementHanded, WithdrawalAsked)):
            replay.records.append(_again(letter, topics.REQUESTS_COMMANDS))
    if len(replay.records) > 1:
        replay.ways.append(Way.AGAIN)


def decision(
    request_id: str,
    what: Literal["resume", "fail"],
    operator: Operator,
    name: str,
    sealed: Sealed | None = None,
) -> Outgoing:
    """Build the record of an operator's decision for requests.commands.

    Args:
        name: tells the decision from others; it becomes the event's id.
        sealed: envelope of any event of the request; the reason is sealed under its key.
    """
    published = operator.publishable_reason(request_id, sealed)
    body = OperatorDecision(
        request_id=request_id,
        command_id=name,
        at=operator.at,
        by=operator.by,
        decision=what,
        reason=published.clear or (RESUMED if what == "resume" else ENDED),
        sealed=published.sealed,
    )
    event = Event(id=name, source=SOURCE, body=body, time=operator.at)
    value, headers = encode(event)
    return topics.REQUESTS_COMMANDS, event.key, value, headers


def _again(letter: DeadLetter, topic: str) -> Outgoing:
    record = letter.record
    headers = [
        header
        for header in record.headers
        if not header[0].startswith(DEAD_LETTER_PREFIX) and header[0] not in (REPEAT, REPLAY_OF)
    ]
    headers += [(REPEAT, b"true"), (REPLAY_OF, letter.id.encode())]
    return topic, record.key, record.value, headers
