"""Serve `/livez`, `/readyz` and `/metrics` on the public port, as `HealthServer` does on its
own."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from fastapi import APIRouter
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.observability.health import Check, exposition


def router(
    *,
    live: Mapping[str, Check],
    ready: Mapping[str, Check],
    registry: CollectorRegistry = REGISTRY,
) -> APIRouter:
    """Return the routes. A failing /livez asks for a restart, a failing /readyz for no traffic
    now."""
    routes = APIRouter(include_in_schema=False)

    def probe(checks: Mapping[str, Check]) -> Response:
        problems = {name: why for name, check in checks.items() if (why := check()) is not None}
        return Response(
            orjson.dumps({"ok": not problems, "problems": problems}),
            status_code=503 if problems else 200,
            media_type="application/json",
        )

    @routes.get("/livez")
    async def livez() -> Response:
        return probe(live)

    @routes.get("/readyz")
    async def readyz() -> Response:
        return probe({**live, **ready})

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        body, content_type = exposition(registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return routes
