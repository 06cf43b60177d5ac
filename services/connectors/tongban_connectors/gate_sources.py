"""Close a province's gate outside of its service hours, on holidays, and while an operator's pause
holds, which stands on the topic `control.provinces`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import ServiceHours
from tongban_common.clock import BusinessClock
from tongban_common.control.provinces import ProvinceControl, province_controls
from tongban_common.envelope import KeyRing, UnreadableEnvelopeError
from tongban_common.private_texts import REASON
from tongban_connectors.domain.texts import paused
from tongban_connectors.gate import Block, Source
from tongban_connectors.restarts import RESTARTS, STEADY_S, is_our_end, kinds_of
from tongban_kafka import KafkaAddress, cancel_until_done

log = structlog.get_logger()


class Pauses:
    """Follows the topic while `run` is running; keeps the last known pauses while Kafka is away.

    No connector may start before the topic has been read: it would call a province that is paused.
    For the same reason every province waits while the topic has a hole that no operator has
    accepted (`RegisterView`), and a province waits if its newest record cannot be decoded.
    """

    def __init__(self, bootstrap: KafkaAddress, clock: BusinessClock, keys: KeyRing) -> None:
        self._view = province_controls(bootstrap)
        self._clock = clock
        self._keys = keys
        self._fault: str | None = None

    async def run(self) -> None:
        """Read until cancelled, and begin again after an unforeseen error.

        After such an error the known pauses still hold, and readiness reports it.
        """
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._view.run()
            except (Exception, asyncio.CancelledError) as error:
                if is_our_end(error):
                    raise
                self._fault = kinds_of(error)
                log.critical("pauses.fault", error=self._fault)
            failures = 1 if time.monotonic() - began > STEADY_S else failures + 1
            await asyncio.sleep(RESTARTS.delay(failures))
            self._fault = None

    async def known(self) -> None:
        """Return once the topic has been read up to its end offset."""
        await self._view.wait_ready()

    def readiness(self) -> str | None:
        """Return why new pauses are not received, or None (a check of HealthServer)."""
        if self._fault is not None:
            return f"control.provinces cannot be read: {self._fault}"
        return self._view.readiness()

    def control(self, province: str) -> ProvinceControl | None:
        """Return the pause that holds for a province now."""
        control = self._view.get(province)
        return control if control is not None and control.pauses(self._clock.now()) else None

    def source(self, province: str) -> Source:
        """Return a source of `Gate` that blocks a province while its pause holds."""

        def block() -> Block | None:
            if self._view.in_doubt(province):
                return Block("paused", reason=paused(""))
            control = self.control(province)
            return None if control is None else block_of(control, self._keys)

        return block


def block_of(control: ProvinceControl, keys: KeyRing) -> Block:
    """Return the block of a pause. Its reason is decrypted in memory alone."""
    reason = control.reason
    if control.sealed is not None:
        try:
            reason = str(keys.open(control.bound_to, control.sealed, REASON))
        except UnreadableEnvelopeError:
            reason = ""  # the pause holds all the same
    return Block("paused", control.until, reason=paused(reason))


@asynccontextmanager
async def following(pauses: Pauses, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Follow the topic within the context.

    The context is entered once the topic has been read, or `stopping` is set.
    """
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(pauses.run(), name="pauses")
        known = tasks.create_task(pauses.known())
        stopped = tasks.create_task(stopping.wait())
        await asyncio.wait([reading, known, stopped], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            await cancel_until_done(reading, known, stopped)


class OpeningHours:
    """A source of `Gate` that blocks calls with an effect outside of the hours.

    Gateways answer look-ups round the clock, so these go on.
    """

    def __init__(self, hours: ServiceHours, holidays: Holidays, clock: BusinessClock) -> None:
        self._hours = hours
        self._holidays = holidays
        self._clock = clock
        self._opens: datetime | None = None

    def __call__(self) -> Block | None:
        """Return the block, with the next opening as its end; None within the hours."""
        now = self._clock.now()
        if self._opens is not None and now < self._opens:
            return Block("closed", self._opens, effects_only=True)
        self._opens = None
        if self._holidays.is_open(self._hours, now):
            return None
        self._opens = self._holidays.next_opening(self._hours, now)
        return Block("closed", self._opens, effects_only=True)
