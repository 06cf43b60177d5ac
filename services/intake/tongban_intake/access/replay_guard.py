"""Each assertion is good for one token, whichever replica it comes to, and however often."""

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
"""After which no assertion that was ever valid still is, whatever the kiosk's clock says."""
_PATIENCE_S = 2.0
_ENOUGH = 100_000


class RecordSender(Protocol):
    """What `EventProducer` offers."""

    def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Any
    ) -> Awaitable[Any]:
        """Resolve when Kafka has it."""


class AssertionReplayGuard:
    """All replicas write the use of an assertion on one partition and read it back: who is first
    there has it. A replica that has just started knows nothing of earlier uses, and believes no
    assertion that was signed before it listened (`since`).

    None is forgotten while it could be valid: when too many are remembered, new ones are refused.
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
        """Unix second from which on every use is seen here; None: not listening yet."""

    def readiness(self) -> str | None:
        """None, or why no assertion can be taken yet."""
        return None if self.since is not None else "not listening yet"

    def listening(self) -> None:
        """Believe assertions that are signed from now on: all earlier uses may not have been seen,
        because this process has just begun to read them or has lost some that it could not read."""
        # An assertion says when it was signed in whole seconds: the one that runs does not count.
        self.since = int(time.time()) + 1

    def on_record(self, record: Record) -> None:
        """A use, in the order in which all replicas see them."""
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
        """Whether this is the first use of this assertion anywhere.

        Raises:
            ProblemError: 503, Kafka does not say in time, or too many come at once.
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
    """Run the reader of the topic, and note when it began to listen."""

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
