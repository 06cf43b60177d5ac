"""Prevent replays: each assertion (RFC 7523) yields one token, at whichever replicas it arrives."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from tongban_common.topics import ASSERTIONS_USED
from tongban_intake.access.enrolment.assertion import LEEWAY, LONGEST_LIFE
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text
from tongban_kafka import KafkaUnavailableError, Record

_REMEMBERED_S = LONGEST_LIFE + 2 * LEEWAY
"""Seconds after its use for which an assertion may still be valid, with every permitted clock
skew."""
_PATIENCE_S = 2.0
_ENOUGH = 100_000


class RecordSender(Protocol):
    """Sends records; `EventProducer` is one."""

    def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Any
    ) -> Awaitable[Any]:
        """Resolve when Kafka has acknowledged the record."""


class AssertionReplayGuard:
    """Detects assertions that were used before, at any replica.

    A replica that receives an assertion writes its use to a topic of one partition and reads the
    topic back: the first record of an assertion wins. A replica that has just started does not know
    earlier uses, so that it refuses assertions signed before it listened (`since`).

    No use is forgotten while its assertion could be valid: above `enough` of them, the guard
    refuses new assertions instead.
    """

    def __init__(
        self,
        producer: RecordSender,
        *,
        enough: int = _ENOUGH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._producer = producer
        self._enough = enough
        self._monotonic = monotonic
        self._first: dict[bytes, tuple[bytes, float]] = {}
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self.since: int | None = None
        """Unix time, in seconds, from which on this replica sees every use; None before it
        listens."""

    def readiness(self) -> str | None:
        """Return None if assertions can be accepted, else the reason."""
        return None if self.since is not None else "not listening yet"

    def listening(self) -> None:
        """Accept only assertions signed from now on. Called when this process has begun to read the
        topic, or has missed records: it may not have seen earlier uses."""
        # `iat` is in whole seconds: an assertion of the current second may be from before this
        # call.
        self.since = int(time.time()) + 1

    def on_record(self, record: Record) -> None:
        """Note one use; all replicas read them in the same order."""
        if record.key is None or record.value is None:
            return
        self._forget()
        now = self._monotonic()
        first, _ = self._first.setdefault(record.key, (record.value, now + _REMEMBERED_S))
        if (waiting := self._waiting.pop(record.value, None)) is not None and not waiting.done():
            waiting.set_result(first == record.value)

    def _forget(self) -> None:
        now = self._monotonic()
        while self._first and self._first[oldest := next(iter(self._first))][1] < now:
            del self._first[oldest]

    async def claim(self, kiosk_id: str, jti: str) -> bool:
        """Return True if this is the first use of the assertion `jti` of this kiosk at any replica.

        Raises:
            ProblemError: 503, Kafka does not answer in time, or too many uses are remembered.
        """
        self._forget()
        key = hashlib.sha256(f"{kiosk_id}\x1f{jti}".encode()).digest()
        if key in self._first:
            return False
        if len(self._first) + len(self._waiting) >= self._enough:
            raise _unavailable()
        mine = uuid.uuid4().bytes
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[mine] = answer
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._producer.send(ASSERTIONS_USED, key=key, value=mine, headers=[])
                return await answer
        except (KafkaUnavailableError, TimeoutError):
            raise _unavailable() from None
        finally:
            self._waiting.pop(mine, None)


async def follow(
    guard: AssertionReplayGuard, run: Awaitable[None], listening: Awaitable[None]
) -> None:
    """Run the reader of the topic; call `guard.listening` once `listening` resolves."""

    async def note() -> None:
        await listening
        guard.listening()

    noting = asyncio.create_task(note())
    try:
        await run
    finally:
        noting.cancel()
        with suppress(asyncio.CancelledError):
            await noting


def _unavailable() -> ProblemError:
    return ProblemError(
        Kind.UNAVAILABLE, Text("暂时无法登录，请稍后重试", "No sign-in just now"), retry_after=2
    )
