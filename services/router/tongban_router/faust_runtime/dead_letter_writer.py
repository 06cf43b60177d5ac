"""Putting records aside that the router cannot apply: the router's dead letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog

from tongban_common import faultpoints, topics
from tongban_common.events import MalformedEventError
from tongban_kafka.config import DeadLetterLimit
from tongban_kafka.dead_letters import (
    Cause,
    DeadLetter,
    LimitWindow,
    dead_letter_forms,
)
from tongban_kafka.errors import DeadLetterLimitError, KafkaUnavailableError, Poison
from tongban_kafka.record import Record
from tongban_kafka.security import KafkaAddress
from tongban_kafka.snapshot import Snapshot
from tongban_router.faust_runtime.consumer import UnreadableMessage

log = structlog.get_logger()
ATTEMPTS = 3
"""At an event that we fall over. Another attempt changes nothing that the first one did, and sends
again what that may not have sent."""
Emit = Callable[
    [str, bytes | None, bytes | None, list[tuple[str, bytes]]], Awaitable[None]
]  # fmt: skip
_LARGEST, _FRAME = 1_040_000, 10
"""Bytes of a dead letter, below the broker's 1 MiB; bytes around each header, at most."""
_TOPIC = topics.dead_letter(topics.ROUTER_APP)


def header_pairs(headers: Any) -> Iterable[tuple[str, bytes]]:
    """Return the headers that have a value. Faust hands them on as a mapping, a list or None,
    depending on where they came from; Kafka allows a header whose value is null."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return [(name, value) for name, value in pairs if value is not None]


class DeadLetterWriter:
    """Writes dead letters within the limit of `DeadLetterLimit`, which outlives the process."""

    def __init__(self, kafka: KafkaAddress, emit: Emit) -> None:
        self._kafka = kafka
        self._emit = emit
        self._limit = DeadLetterLimit()
        self._window = LimitWindow(self._limit)
        self._known = asyncio.Event()
        """Set once it is known what earlier lives put aside. Faust starts tasks when it lets
        records flow, so that the first of a flood are here before that."""
        self.applied = 0
        """Records that were applied; to be counted up by the router."""

    async def remember(self) -> None:
        """Count what earlier lives put aside: a restart must not get round the limit."""
        since = time.time() - self._limit.window
        while True:
            try:
                async with Snapshot(self._kafka) as snapshot:
                    count = await snapshot.count_since(_TOPIC, round(since * 1000))
            except KafkaUnavailableError as error:
                log.warning("router.dead_letters_unknown", error=str(error))
                await asyncio.sleep(1.0)
                continue
            self._window.seed(count, time.monotonic())
            self._known.set()
            return

    async def put(self, message: Any, fault: Exception) -> None:
        """Put a record (Faust's message) aside with its cause, once `remember` has counted.

        Raises:
            DeadLetterLimitError: it would be one too many.
        """
        await self._known.wait()
        faultpoints.reached("router.before_dead_letter")
        now = time.monotonic()
        self._window.observe_total(self.applied, now)
        if not self._window.admit(now):
            raise DeadLetterLimitError("too many records had to be put aside")
        whole = isinstance(message, UnreadableMessage)
        letter = message.batch.letter if whole else _letter(message, fault)
        await self._emit(_TOPIC, *letter)


def _letter(message: Any, fault: Exception) -> DeadLetter:
    """Return the dead letter of one record, in the largest form that the broker takes: what it
    refused would end the process, and whoever came next."""
    malformed = isinstance(fault, MalformedEventError)
    record = Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value,
        headers=tuple(header_pairs(message.headers)),
        maybe_seen=False,
        assigned_at=0.0,
        attempt=1 if malformed else ATTEMPTS,
    )
    cause = Cause.of(_poison(fault) if malformed else fault, record, time.time())
    forms = dead_letter_forms(topics.ROUTER_APP, record, cause)
    return next(form for form in forms if _size(form) <= _LARGEST)


def _size(letter: DeadLetter) -> int:
    key, value, headers = letter
    own = sum(len(name) + len(text) + _FRAME for name, text in headers)
    return len(key or b"") + len(value or b"") + own


def _poison(error: Exception) -> Poison:
    """The same with its text as the cause to tell: it holds rules, not values."""
    poison = Poison(str(error))
    poison.__cause__ = error
    return poison
