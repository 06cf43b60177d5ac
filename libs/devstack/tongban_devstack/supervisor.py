"""Keeps named processes running, as Kubernetes would."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

import aiohttp
import structlog

from tongban_devstack.processes import ChildProcess, ChildSpec

log = structlog.get_logger(__name__)
RESTART_S = 0.5
"""Between a process's death and its next start."""


class NeverReady(Exception):
    """A process did not become ready in time; the text ends with the tail of its log."""


@dataclass(slots=True)
class _Kept:
    spec: ChildSpec
    ready_url: str
    child: ChildProcess
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Starts processes, starts them again when they die, stops them in reverse order.

    To be used as an async context manager: leaving it stops everything.
    """

    def __init__(self, *, grace_s: float = 15.0) -> None:
        self._grace_s = grace_s
        self._kept: dict[str, _Kept] = {}
        self._stopping = False
        self.restarts: Counter[str] = Counter()

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their starts."""
        return tuple(self._kept)

    def start(self, spec: ChildSpec, *, ready_url: str) -> None:
        """Start a process and keep it running under its name."""
        kept = self._kept[spec.name] = _Kept(spec, ready_url, ChildProcess(spec))
        kept.keeper = asyncio.create_task(self._keep(kept), name=f"keep-{spec.name}")

    async def _keep(self, kept: _Kept) -> None:
        while True:
            code = await kept.child.wait()
            if self._stopping:
                return
            self.restarts[kept.spec.name] += 1
            log.info("process.died", name=kept.spec.name, code=code)
            await asyncio.sleep(RESTART_S)
            if self._stopping:
                return
            kept.child = ChildProcess(kept.spec)

    def pid(self, name: str) -> int:
        """The process that has the name now."""
        return self._kept[name].child.pid

    def kill(self, name: str, number: int) -> None:
        """Send a signal to the process of that name."""
        self._kept[name].child.send_signal(number)

    async def ready(self, *names: str, timeout_s: float = 60.0) -> None:
        """Wait until each answers /readyz with 200.

        Raises:
            NeverReady: one of them did not in time.
        """
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for name in names or self.names:
                group.create_task(self._ready(session, self._kept[name], timeout_s))

    @staticmethod
    async def _ready(session: aiohttp.ClientSession, kept: _Kept, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        said = "no answer"
        while time.monotonic() < deadline:
            try:
                timeout = aiohttp.ClientTimeout(total=2)
                async with session.get(kept.ready_url, timeout=timeout) as reply:
                    if reply.status == 200:
                        return
                    said = (await reply.text())[:500]
            except (aiohttp.ClientError, TimeoutError) as error:
                said = type(error).__name__
            await asyncio.sleep(0.05)
        name, log_file = kept.spec.name, kept.spec.log
        raise NeverReady(
            f"{name} was not ready within {timeout_s:.0f} s ({said}); the end of {log_file}:\n"
            + kept.child.log_tail()
        )

    async def stop(self) -> None:
        """Stop all, the last started first. Never leaves a process behind."""
        self._stopping = True
        for kept in reversed(self._kept.values()):
            await kept.child.stop(self._grace_s)
            if kept.keeper is not None:
                kept.keeper.cancel()
                await asyncio.gather(kept.keeper, return_exceptions=True)
