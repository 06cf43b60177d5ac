"""What the embedded broker and the embedded store have in common: how they start and stop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tongban_devstack.files import exclusive
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_devstack.readiness import wait_ready

START_TIMEOUT_S = 60.0


class EmbeddedServer(ABC):
    """One server process with a data directory of its own and an address that it keeps.

    `async with` starts it, waits until it is ready and stops it. To have it run by a supervisor
    instead: `prepare`, then run `spec` and wait for `probe`.
    """

    stop_grace_s = 10.0

    def __init__(self, name: str, data_dir: Path, port: int, log: Path | None) -> None:
        self.name = name
        self.data_dir = data_dir.absolute()
        self.port = port
        self.log = log or self.data_dir.with_name(f"{self.data_dir.name}.log")
        self._child: ChildProcess | None = None
        self._held = AsyncExitStack()

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client is given to connect."""

    @property
    @abstractmethod
    def spec(self) -> ChildSpec:
        """How to run it; valid after `prepare`."""

    @abstractmethod
    async def prepare(self) -> None:
        """Make program and data directory ready to start; may download. Can be repeated."""

    @abstractmethod
    async def probe(self) -> None:
        """Return once it does real work for a client.

        Raises:
            NotReadyError: it answers, but not as it should, or not at all.
        """

    @property
    def pid(self) -> int:
        """The server's own process id.

        Raises:
            RuntimeError: it has not been started.
        """
        return self._running().pid

    def _running(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._child

    def send_signal(self, number: int) -> None:
        """To the server's process, for tests that break it."""
        self._running().send_signal(number)

    async def wait(self) -> int:
        """Its exit code once it has ended."""
        return await self._running().wait()

    async def start(self, timeout: float = START_TIMEOUT_S) -> None:
        """Start it on its data directory and wait until it is ready.

        Raises:
            InUseError: another process runs a server on that directory.
            StartFailedError: it ended or was not ready in `timeout` seconds.
        """
        async with AsyncExitStack() as stack:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(self.data_dir / "in-use.lock", wait=False))
            await self.prepare()
            child = self._child = ChildProcess(self.spec)
            stack.push_async_callback(self._end, child)
            await wait_ready(
                self.name,
                self.probe,
                timeout=timeout,
                hopeless=lambda: None if child.alive else "ended before it was ready",
                log_tail=child.log_tail,
            )
            self._held = stack.pop_all()

    async def _end(self, child: ChildProcess) -> None:
        await child.stop(self.stop_grace_s)

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after ten seconds; returns when it is gone. May be repeated."""
        await self._held.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def listening(port: int) -> bool:
    """Whether somebody accepts connections on the loopback interface at that port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
