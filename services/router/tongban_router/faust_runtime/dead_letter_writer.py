"""Write records that the router cannot apply to its dead-letter topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from tongban_common import faultpoints, topics
from tongban_common.events import MalformedEventError
from tongban_kafka import (
    Cause,
    DeadLetter,
    DeadLetterLimit,
    DeadLetterLimitError,
    KafkaAddress,
    KafkaUnavailableError,
    LimitWindow,
    Poison,
    Record,
    Snapshot,
    dead_letter_forms,
)
from tongban_router.faust_runtime.consumer import UnreadableMessage, header_pairs

log = structlog.get_logger()
ATTEMPTS = 3
"""Attempts to apply a record. A further attempt changes nothing that the one before has changed,
and sends again what that may not have sent."""
Emit = Callable[
    [str, bytes | None, bytes | None, list[tuple[str, bytes]]], Awaitable[None]
]  # fmt: skip
_LARGEST, _FRAME = 1_040_000, 10
"""Most bytes of a dead letter, below the broker's 1 MiB; most bytes of framing of a header."""
_TOPIC = topics.dead_letter(topics.ROUTER_APP)


class DeadLetterWriter:
    """Writes dead letters within the limit of `DeadLetterLimit`, which survives restarts."""

    def __init__(self, kafka: KafkaAddress, emit: Emit) -> None:
        self._kafka = kafka
        self._emit = emit
        self._limit = DeadLetterLimit()
        self._window = LimitWindow(self._limit)
        self._known = asyncio.Event()
        """Set once `remember` has counted. Faust starts tasks only when records already flow, so
        the first records of a flood may arrive earlier."""
        self.applied = 0
        """Number of records applied without a fault; the handler counts them."""

    async def remember(self) -> None:
        """Count the dead letters of earlier processes within the window: a restart must not reset
        the limit."""
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
        """Write the dead letter of a record (Faust's message); wait until `remember` has counted.

        Raises:
            DeadLetterLimitError: the limit is reached. Nothing has been written.
        """
        await self._known.wait()
        faultpoints.reached("router.before_dead_letter")
        now = time.monotonic()
        self._window.observe_total(self.applied, now)
        if not self._window.admit(now):
            raise DeadLetterLimitError("too many records had to be put aside")
        is_batch = isinstance(message, UnreadableMessage)
        letter = message.batch.letter if is_batch else _letter(message, fault)
        await self._emit(_TOPIC, *letter)


def _letter(message: Any, fault: Exception) -> DeadLetter:
    """Return the dead letter of a record, in the largest form that the broker accepts: a refused
    one would end this process, and each successor."""
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
    """Return a Poison whose cause is the error's text, which contains rules but no values."""
    poison = Poison(str(error))
    poison.__cause__ = error
    return poison
