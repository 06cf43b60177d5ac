"""Carrying out what operators decide about dead letters: write, then mark, so that dying in between
shows a dead letter as open that was replayed, never the other way round. Done twice it does no
harm: the events have the same ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tongban_common import faultpoints
from tongban_common.control.dead_letters import DeadLetterSettled, Settlement
from tongban_common.control.records import JSON_HEADERS
from tongban_common.kafka import EventProducer
from tongban_common.operators.dead_letters import DeadLetter
from tongban_common.operators.replays import Operator, Outgoing, Replay
from tongban_common.operators.words import DISCARD_REASONS, REQUEST_REASONS, about_record
from tongban_common.topics import CONTROL_DEAD_LETTERS

_AT_ONCE = 100
"""Replays whose acknowledgements are awaited together; between them an interruption loses none."""
_KNOWN = REQUEST_REASONS | DISCARD_REASONS


async def send_all(producer: EventProducer, records: Iterable[Outgoing]) -> None:
    """Write records, each acknowledged before the next: their order is meant.

    Raises:
        KafkaUnavailable: not acknowledged in time; it may be on the topic.
    """
    for topic, key, value, headers in records:
        await producer.send(topic, key=key, value=value, headers=headers)


async def carry_out(
    producer: EventProducer,
    replays: Sequence[Replay],
    operator: Operator,
    *,
    on_done: Callable[[int], Any] = lambda _count: None,
) -> None:
    """Replay, and mark each dead letter as replayed. `on_done` hears how many were settled.

    Raises:
        KafkaUnavailable: what was marked is done, the rest may be.
    """

    async def one(replay: Replay) -> None:
        await send_all(producer, replay.records)
        faultpoints.reached("operator.before_mark")
        await settle(producer, replay.letters, Settlement.REPLAYED, operator)
        on_done(len(replay.letters))

    for begin in range(0, len(replays), _AT_ONCE):
        await asyncio.gather(*(one(replay) for replay in replays[begin : begin + _AT_ONCE]))


async def settle(
    producer: EventProducer,
    letters: Iterable[DeadLetter],
    settlement: Settlement,
    operator: Operator,
) -> None:
    """Mark dead letters as dealt with.

    Raises:
        KafkaUnavailable: some may not be marked.
    """
    for letter in letters:
        said = about_record(
            operator.reason, operator.keys, f"{CONTROL_DEAD_LETTERS}/{letter.id}", _KNOWN
        )
        before = letter.settled.times if letter.settled else 0
        marker = DeadLetterSettled(
            id=letter.id,
            settlement=settlement,
            at=operator.at,
            by=operator.by,
            reason=said.clear or "",
            sealed=said.sealed,
            times=before + 1,
        )
        key, value = marker.to_record()
        await producer.send(CONTROL_DEAD_LETTERS, key=key, value=value, headers=JSON_HEADERS)
