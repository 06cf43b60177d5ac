"""Start and end a process of the simulated outside, and announce that it is ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from tongban_common import tracing
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.process import Stopping, on_stop
from tongban_common.settings import CommonSettings
from tongban_devstack.errors import DevstackError

log = structlog.get_logger()


class ConnectionCutError(DevstackError):
    """Raised to abort the connection without an answer."""


def cut(request: web.Request) -> web.Response:
    """Abort the TCP connection (RST); the returned response only ends the handler."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def pause(stopping: Stopping, seconds: float) -> None:
    """Sleep on the wall clock: a simulated latency, or the printing of a page.

    Raises:
        ConnectionCutError: the process ends; the client sees the connection close.
    """
    if seconds > 0:
        await stopping.sleep(seconds)
        if stopping.is_set:
            raise ConnectionCutError


async def until(stopping: Stopping, event: asyncio.Event) -> None:
    """Wait for an event.

    Raises:
        ConnectionCutError: the process ends.
    """
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(each.wait()) for each in (event, stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    if stopping.is_set:
        raise ConnectionCutError


def run(
    service: str, settings: CommonSettings, serve: Callable[[Stopping], Awaitable[None]]
) -> None:
    """Run `serve` until SIGTERM or SIGINT sets its `Stopping`; then end with exit code 0."""
    configure_logging(service, instance=settings.instance, level=settings.log_level)
    tracing.start(settings, service.removeprefix("tongban-"))

    async def main() -> None:
        stopping = Stopping()
        on_stop(stopping.set)
        await serve(stopping)

    try:
        asyncio.run(main())
    finally:
        tracing.stop()


@asynccontextmanager
async def serving(
    service: str, settings: CommonSettings, routes: Iterable[web.RouteDef]
) -> AsyncIterator[HealthServer]:
    """Serve the routes and probes, and print one JSON line on stdout with the URL in use."""
    host, port = settings.http_host, settings.http_port
    async with HealthServer(host=host, port=port, live={}, ready={}, routes=list(routes)) as server:
        url = f"http://{host}:{server.port}"
        log.info("serving", url=url)
        print(json.dumps({"ready": True, "service": service, "url": url}), flush=True)
        yield server
