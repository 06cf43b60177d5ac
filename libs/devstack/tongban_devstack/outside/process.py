"""Start and end a process of the simulated outside, and announce that it is ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from tongban_common.observability import configure_logging
from tongban_common.process import Stopping, on_stop
from tongban_common.settings import CommonSettings

log = structlog.get_logger()


class ConnectionCutError(Exception):
    """Raised to abort the connection without an answer."""


def cut(request: web.Request) -> web.Response:
    """Abort the TCP connection (RST); the returned response only ends the handler."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


class SimulationStop(Stopping):
    """Ends simulated waits (latency, printing) when the process ends."""

    async def sleep(self, seconds: float) -> None:
        """Sleep on the wall clock.

        Raises:
            ConnectionCutError: the process ends; the client sees the connection close.
        """
        if seconds <= 0:
            return
        await super().sleep(seconds)
        if self.is_set:
            raise ConnectionCutError

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event.

        Raises:
            ConnectionCutError: the process ends.
        """
        async with asyncio.TaskGroup() as tasks:
            waits: list[asyncio.Task[Any]] = [
                tasks.create_task(event.wait()),
                tasks.create_task(self.wait()),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if self.is_set:
            raise ConnectionCutError


def run(
    service: str, settings: CommonSettings, serve: Callable[[SimulationStop], Awaitable[None]]
) -> None:
    """Run `serve` until SIGTERM or SIGINT sets its `SimulationStop`; then end with exit code 0."""
    configure_logging(service, instance=settings.instance, level=settings.log_level)

    async def main() -> None:
        stopping = SimulationStop()
        on_stop(stopping.set)
        await serve(stopping)

    asyncio.run(main())


def announce(service: str, host: str, port: int) -> None:
    """Print one JSON line on stdout when the process is ready, with the port it uses."""
    url = f"http://{host}:{port}"
    log.info("serving", url=url)
    print(json.dumps({"ready": True, "service": service, "url": url}), flush=True)
