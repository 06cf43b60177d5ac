"""Start and stop an embedded server; base class of the broker and the store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from tongban_devstack.files import exclusive
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_devstack.readiness import wait_ready

START_TIMEOUT_S = 60.0


class EmbeddedServer(ABC):
    """One server process with its own data directory and a fixed address.

    `async with` starts it, waits until it is ready and stops it. To run it under a supervisor
    instead, call `prepare`, then run `spec` and wait for `probe`.
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
        """Return the address for clients."""

    @property
    @abstractmethod
    def spec(self) -> ChildSpec:
        """Return the command to run; valid after `prepare`."""

    @abstractmethod
    async def prepare(self) -> None:
        """Prepare program and data directory; may download. Idempotent."""

    @abstractmethod
    async def probe(self) -> None:
        """Return if the server does real work for a client.

        Raises:
            NotReadyError: it does not answer, or not correctly.
        """

    @property
    def pid(self) -> int:
        """Return the server's process id.

        Raises:
            RuntimeError: it has not been started.
        """
        return self._running().pid

    def _running(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._child

    def send_signal(self, number: int) -> None:
        """Send a signal to the server's process, for tests that break it."""
        self._running().send_signal(number)

    async def wait(self) -> int:
        """Wait for the server's end and return its exit code."""
        return await self._running().wait()

    async def start(self, timeout: float = START_TIMEOUT_S) -> None:
        """Start the server and wait until it is ready.

        Raises:
            InUseError: another process runs a server on the data directory.
            StartFailedError: it ended or was not ready within `timeout` seconds.
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
        """Send SIGTERM, after `stop_grace_s` SIGKILL, and wait for the end. Idempotent."""
        await self._held.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def listening(port: int) -> bool:
    """Return True if a server accepts connections at that port of the loopback interface."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
