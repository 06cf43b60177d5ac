"""Keep named processes running, as Kubernetes would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field

import structlog

from tongban_devstack.liveness import watch
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_devstack.readiness import Probe, wait_ready
from tongban_devstack.run_all import run_all

log = structlog.get_logger(__name__)

RESTART_S = 0.5
"""Seconds between a process's end and its next start."""
_DEATHS_BEFORE_READY = 5
"""Ends before the first readiness after which another attempt is pointless."""


@dataclass(slots=True)
class _Kept:
    spec: ChildSpec
    probe: Probe
    live_url: str | None
    tier: int
    child: ChildProcess
    keeper: asyncio.Task[None] = field(init=False)


class Supervisor:
    """Starts processes, restarts them when they end, and stops them in reverse order.

    An async context manager: leaving it stops everything. A process keeps its name, arguments and
    environment from start to start. One whose `live_url` reports no progress is stopped, and so
    restarted.
    """

    def __init__(self, *, grace_s: float = 15.0, restart_s: float = RESTART_S) -> None:
        self._grace_s = grace_s
        self._restart_s = restart_s
        self._kept: dict[str, _Kept] = {}
        self.restarts: Counter[str] = Counter()

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the order of their starts."""
        return tuple(self._kept)

    def start(
        self, spec: ChildSpec, *, probe: Probe, live_url: str | None = None, tier: int = 0
    ) -> None:
        """Start a process and keep it running under its name.

        Tiers are stopped one after the other, the highest first; the members of one tier together.
        """
        kept = _Kept(spec, probe, live_url, tier, ChildProcess(spec))
        kept.keeper = asyncio.create_task(self._keep(kept), name=f"keep-{spec.name}")
        self._kept[spec.name] = kept

    async def _keep(self, kept: _Kept) -> None:
        name = kept.spec.name
        while True:
            code = await self._life(kept)
            self.restarts[name] += 1
            log.warning("process.died", name=name, code=code, restarts=self.restarts[name])
            await asyncio.sleep(self._restart_s)
            try:
                kept.child = ChildProcess(kept.spec)
            except OSError as error:  # no memory, no disk: try again
                log.warning("process.not_started", name=name, error=str(error))

    async def _life(self, kept: _Kept) -> int:
        """Wait for the end of the process; a failed liveness probe stops it."""
        child = kept.child
        if kept.live_url is None:
            return await child.wait()
        watching = asyncio.create_task(watch(kept.live_url), name=f"watch-{kept.spec.name}")
        ended = asyncio.create_task(child.wait())
        try:
            await asyncio.wait({watching, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                log.warning("process.not_live", name=kept.spec.name, why=watching.result())
                return await child.stop(self._grace_s)
            return ended.result()
        finally:
            watching.cancel()
            ended.cancel()

    def pid(self, name: str) -> int:
        """Return the pid of the process that has the name now."""
        return self._kept[name].child.pid

    def ended(self, name: str) -> Awaitable[int]:
        """Return what waits for the end of the process that has the name now: its exit code, or the
        negative number of the signal that ended it."""
        return self._kept[name].child.wait()

    def kill(self, name: str, number: int) -> None:
        """Send a signal to the process of that name; nothing if it is dead just now."""
        self._kept[name].child.send_signal(number)

    async def ready(self, *names: str, timeout_s: float = 60.0) -> None:
        """Wait until the named processes, or all, are ready.

        Raises:
            StartFailedError: one of them was not ready in time, or ended again and again.
        """
        await run_all(*(self._ready(self._kept[name], timeout_s) for name in names or self.names))

    async def _ready(self, kept: _Kept, timeout_s: float) -> None:
        before = self.restarts[kept.spec.name]

        def hopeless() -> str | None:
            deaths = self.restarts[kept.spec.name] - before
            return f"died {deaths} times" if deaths >= _DEATHS_BEFORE_READY else None

        await wait_ready(
            kept.spec.name,
            kept.probe,
            timeout=timeout_s,
            hopeless=hopeless,
            log_tail=kept.child.log_tail,
        )

    async def stop(self) -> None:
        """Stop all processes with SIGTERM and finally SIGKILL; none is left behind."""
        try:
            for tier in sorted({kept.tier for kept in self._kept.values()}, reverse=True):
                members = [kept for kept in self._kept.values() if kept.tier == tier]
                await run_all(*map(self._end, members))
        finally:
            for kept in self._kept.values():
                kept.child.kill_group()

    async def _end(self, kept: _Kept) -> None:
        kept.keeper.cancel()  # first, or it would start the process again
        await asyncio.wait({kept.keeper})
        await kept.child.stop(self._grace_s)
        if not kept.keeper.cancelled():
            kept.keeper.result()  # raise its error: the task never ends otherwise
