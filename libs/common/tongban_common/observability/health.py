"""Serve `/livez`, `/readyz` and `/metrics` for processes that serve no other HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from types import TracebackType

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tongban_common.tracing.http import traced_server

Check = Callable[[], str | None]
"""Returns None if the part is healthy, else the reason, for an operator who reads the probe's
body."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the metrics and their media type: OpenMetrics, which alone has exemplars, where the
    scraper's Accept header wants it, else Prometheus' text format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class HealthServer:
    """Async context manager that serves the three endpoints until it exits.

    A failed liveness check asks for a restart: the worker makes no progress. A failed readiness
    check says that the process cannot work yet, or now. Either answers 503 with
    `{"ok": false, "problems": {name: reason}}`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        live: Mapping[str, Check],
        ready: Mapping[str, Check],
        registry: CollectorRegistry = REGISTRY,
        routes: list[web.RouteDef] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        app = web.Application(middlewares=[traced_server])
        app.add_routes(
            [
                web.get("/livez", self._probe(live)),
                web.get("/readyz", self._probe({**live, **ready})),
                web.get("/metrics", self._metrics(registry)),
                *(routes or []),
            ]
        )
        # No request here has a compressed body, and unpacking one would have no bound.
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False)

    @staticmethod
    def _probe(checks: Mapping[str, Check]) -> Handler:
        async def probe(_: web.Request) -> web.Response:
            problems = {name: why for name, check in checks.items() if (why := check()) is not None}
            return web.json_response(
                {"ok": not problems, "problems": problems}, status=503 if problems else 200
            )

        return probe

    @staticmethod
    def _metrics(registry: CollectorRegistry) -> Handler:
        async def metrics(request: web.Request) -> web.Response:
            body, content_type = exposition(registry, request.headers.get("Accept", ""))
            return web.Response(body=body, headers={"Content-Type": content_type})

        return metrics

    @property
    def port(self) -> int:
        """Return the port that is served, also where the settings have 0."""
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def listen_too(self, port: int, tls: SSLContext) -> None:
        """Serve the same over TLS at a further port."""
        await web.TCPSite(self._runner, self._host, port, ssl_context=tls).start()

    async def __aenter__(self) -> HealthServer:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
