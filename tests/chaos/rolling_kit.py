"""Replace processes of a stack one by one, behind an address that knows all replicas."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.e2e.chain_kit import until
from tongban_devstack.stack import Stack

PATIENCE_S = 90.0


class ServiceAddress:
    """Forwards each connection to the next replica that accepts it, like a Service of Kubernetes.

    An async context manager. `targets` may be set after it has been entered.
    """

    def __init__(self) -> None:
        self.targets: list[str] = []
        """Base URLs of the replicas."""
        self._turn = itertools.count()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """Return the base URL of the service."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> ServiceAddress:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turn)
        for number in range(len(self.targets)):
            target = urlsplit(self.targets[(first + number) % len(self.targets)])
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection(target.hostname, target.port)
                await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))
                return
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, slots=True)
class Replacement:
    """Holds how a process was replaced: its exit code, seconds until its end, and until another of
    its name was ready."""

    code: int
    stopped_s: float
    ready_s: float


async def replace(stack: Stack, name: str, number: int = signal.SIGTERM) -> Replacement:
    """End a process with a signal; return once its successor of the same name is ready."""
    began = time.monotonic()
    before, ended = stack.supervisor.pid(name), stack.supervisor.ended(name)
    stack.supervisor.kill(name, number)
    async with asyncio.timeout(PATIENCE_S):
        code = await ended
    stopped = time.monotonic()
    await until(lambda: stack.supervisor.pid(name) != before, f"another {name}")
    await stack.supervisor.ready(name, timeout_s=PATIENCE_S)
    return Replacement(code, stopped - began, time.monotonic() - began)
