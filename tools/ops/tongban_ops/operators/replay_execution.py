"""Execute operators' decisions about dead letters: write the records first, then mark the letter.

A crash in between shows a replayed dead letter as open, never the other way round. Repeating is
harmless, since the events have the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tongban_common import faultpoints
from tongban_common.control.records import JSON_HEADERS
from tongban_common.topics import CONTROL_DEAD_LETTERS
from tongban_kafka import EventProducer
from tongban_ops.operators.dead_letters import DeadLetter
from tongban_ops.operators.reasons import DISCARD_REASONS, REQUEST_REASONS, about_record
from tongban_ops.operators.replays import Operator, Outgoing, Replay
from tongban_ops.operators.settlements import DeadLetterSettled, Settlement

_AT_ONCE = 100
"""Replays whose acknowledgements are awaited together."""
_KNOWN = REQUEST_REASONS | DISCARD_REASONS


async def send_all(producer: EventProducer, records: Iterable[Outgoing]) -> None:
    """Write records, each acknowledged before the next, in order.

    Raises:
        KafkaUnavailableError: not acknowledged in time; the record may be on the topic.
    """
    for topic, key, value, headers in records:
        await producer.send(topic, key=key, value=value, headers=headers)


async def execute_replays(
    producer: EventProducer,
    replays: Sequence[Replay],
    operator: Operator,
    *,
    on_done: Callable[[int], Any] = lambda _count: None,
) -> None:
    """Write the replays' records and mark each dead letter as replayed.

    Args:
        on_done: called with the number of dead letters that were just settled.

    Raises:
        KafkaUnavailableError: marked dead letters are done; the others may be.
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
    """Mark dead letters as settled.

    Raises:
        KafkaUnavailableError: some may not be marked.
    """
    for letter in letters:
        published = about_record(
            operator.reason, operator.keys, f"{CONTROL_DEAD_LETTERS}/{letter.id}", _KNOWN
        )
        before = letter.settled.times if letter.settled else 0
        marker = DeadLetterSettled(
            id=letter.id,
            settlement=settlement,
            at=operator.at,
            by=operator.by,
            reason=published.clear or "",
            sealed=published.sealed,
            times=before + 1,
        )
        key, value = marker.to_record()
        await producer.send(CONTROL_DEAD_LETTERS, key=key, value=value, headers=JSON_HEADERS)
