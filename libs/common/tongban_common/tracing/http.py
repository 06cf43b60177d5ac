"""Spans of HTTP: of aiohttp's clients and servers; intake's ASGI edge has its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from tongban_common.tracing import attributes as names
from tongban_common.tracing.context import TRACEPARENT, current_traceparent, parse
from tongban_common.tracing.spans import Kind, Span, span

_Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOT_TRACED = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that are asked every few seconds and say nothing about a request."""


def server_span(method: str, traceparent: str | bytes | None) -> AbstractContextManager[Span]:
    """Return the span of a request that a server answers, in the caller's trace where it has one.

    The caller renames it and sets the route and the status (`answered`) once they are known.
    """
    return span(
        method,
        Kind.SERVER,
        parent=parse(traceparent),
        root=True,
        attributes={names.HTTP_METHOD: method},
    )


def answered(of: Span, method: str, route: str | None, status: int) -> None:
    """Describe a server's span by its route (a pattern, never a path) and status."""
    if route is not None:
        of.rename(f"{method} {route}")
        of.set(names.HTTP_ROUTE, route)
    of.set(names.HTTP_STATUS, status)
    if status >= 500:
        of.failed(str(status))


@web.middleware
async def traced_server(request: web.Request, handler: _Answering) -> web.StreamResponse:
    """Answer every request but probes within a span; a middleware of aiohttp."""
    if request.path in NOT_TRACED:
        return await handler(request)
    with server_span(request.method, request.headers.get(TRACEPARENT)) as of:
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            resource = request.match_info.route.resource
            answered(of, request.method, resource.canonical if resource else None, status)


def traced_client(*, propagate: bool) -> aiohttp.TraceConfig:
    """Return what makes each call of an aiohttp session a span; give it to the session.

    Args:
        propagate: send `traceparent` with each call. False where the other side is no part of the
            flow: a trace id is of no use to a provider of text messages.
    """
    config = aiohttp.TraceConfig()

    async def begin(
        _: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestStartParams
    ) -> None:
        ctx.scope = span(
            params.method,
            Kind.CLIENT,
            attributes={
                names.HTTP_METHOD: params.method,
                names.SERVER_ADDRESS: params.url.host,
                names.SERVER_PORT: params.url.port,
            },
        )
        ctx.span = ctx.scope.__enter__()
        if propagate and (traceparent := current_traceparent()) is not None:
            params.headers[TRACEPARENT] = traceparent

    async def end(
        _: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        status = params.response.status
        ctx.span.set(names.HTTP_STATUS, status)
        if status >= 400:
            ctx.span.failed(str(status))
        ctx.scope.__exit__(None, None, None)

    async def fail(
        _: aiohttp.ClientSession, ctx: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
    ) -> None:
        ctx.scope.__exit__(type(params.exception), params.exception, None)

    config.on_request_start.append(begin)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    return config
