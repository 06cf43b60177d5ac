"""Pauses that operators have set, as every connector process knows them (`control.provinces`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tongban_common.clock import BusinessClock
from tongban_common.control.provinces import ProvinceControl, province_controls
from tongban_common.envelope import KeyRing, Unreadable
from tongban_common.private_texts import REASON
from tongban_router.connectors.gate import Closure, Source
from tongban_router.connectors.texts import paused


class Pauses:
    """Follows the topic for as long as `run` runs.

    While Kafka is away it keeps what it knew. Before it knows anything no connector may start:
    a province that was paused would be called.
    """

    def __init__(self, bootstrap: str, clock: BusinessClock, keys: KeyRing) -> None:
        self._view = province_controls(bootstrap)
        self._clock = clock
        self._keys = keys

    async def run(self) -> None:
        """Read until cancelled."""
        await self._view.run()

    async def known(self) -> None:
        """Return once all that was on the topic has been read."""
        await self._view.wait_ready()

    def readiness(self) -> str | None:
        """None, or why nothing is known yet (the shape of a HealthServer check)."""
        return self._view.readiness()

    def control(self, province: str) -> ProvinceControl | None:
        """The pause that holds for a province now."""
        control = self._view.get(province)
        return control if control is not None and control.pauses(self._clock.now()) else None

    def source(self, province: str) -> Source:
        """What closes a province's gate while its pause holds."""

        def closure() -> Closure | None:
            control = self.control(province)
            return None if control is None else closure_of(control, self._keys)

        return closure


def closure_of(control: ProvinceControl, keys: KeyRing) -> Closure:
    """Return what a pause closes a gate with. The reason is in clear in memory alone."""
    words = control.reason
    if control.sealed is not None:
        try:
            words = str(keys.open(control.bound_to, control.sealed, REASON))
        except Unreadable:
            words = ""  # the pause holds all the same
    return Closure("paused", control.until, reason=paused(words))


@asynccontextmanager
async def following(pauses: Pauses, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Follow the topic meanwhile; entered once it has been read, or `stopping` is set before.

    A fault of the reader cancels what goes on within: a process that hears no operator must end.
    """
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(pauses.run(), name="pauses")
        known = tasks.create_task(pauses.known())
        stopped = tasks.create_task(stopping.wait())
        await asyncio.wait([reading, known, stopped], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            for task in (reading, known, stopped):
                task.cancel()
