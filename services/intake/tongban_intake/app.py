"""Build the ASGI application: routes, error handlers, and the middleware around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tongban_common.observability.health import Check
from tongban_common.store import StoreUnavailableError
from tongban_intake.api import (
    about,
    catalogue,
    commands,
    documents,
    openapi,
    probes,
    requests,
    tokens,
)
from tongban_intake.http._fast import DirectRoute
from tongban_intake.http.telemetry import Edge, HttpMetrics, count, watch
from tongban_intake.kiosk import (
    applying,
    assisting,
    browsing,
    desk,
    following,
    helping,
    nearby,
    suggesting,
)
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import HELP, SIGN_OUT, Session
from tongban_intake.problems import Kind, ProblemError, language_of
from tongban_intake.services import Services
from tongban_intake.submission.wording import of_model
from tongban_intake.text import Text
from tongban_intake.verifying import page as verifying

API_VERSION = "1.0.0"
"""Version of the HTTP interface, which changes additively only; that of the software differs."""
_BY_STATUS = {kind.status: kind for kind in reversed(Kind)}


def build_app(
    services: Services,
    *,
    live: Mapping[str, Check],
    ready: Mapping[str, Check],
    registry: CollectorRegistry = REGISTRY,
) -> ASGIApp:
    """Build the ASGI application.

    Args:
        live: checks of /livez by name; each returns None or what is wrong.
        ready: further checks of /readyz.
    """
    app = FastAPI(
        title="tongban intake",
        version=API_VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # no client of the API expects a redirect
    )
    app.state.services = services
    if services.settings.probe_port is None:
        app.include_router(probes.router(live=live, ready=ready, registry=registry))
    for part in (requests, commands, documents, catalogue, tokens, about):
        app.include_router(part.router)
    app.include_router(verifying.router(services))
    session = Session(services)
    pages = Pages(
        idle_seconds=services.settings.idle_seconds,
        assistant_idle_seconds=services.settings.assistant_idle_seconds,
        touch_keyboard=services.settings.touch_keyboard,
        printer_trouble=services.printers.trouble,
        sign_out_proof=lambda kiosk: session.proof(kiosk, SIGN_OUT),
        help_proof=lambda kiosk: session.proof(kiosk, HELP),
        calls_for_help=services.help_calls.calls,
    )
    for page in (browsing, assisting, desk, helping, applying, following):
        app.include_router(page.router(services, pages, session))
    app.include_router(suggesting.router(services, session))
    app.include_router(nearby.router(services, pages, session))
    openapi.complete(app)
    _answer_errors(app, pages)
    _expose(services, registry)
    # Pages need the scheme (for their cookies) and callers without a token are counted by address;
    # submissions, which the direct route answers, need neither.
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=services.settings.proxies)
    direct = DirectRoute(app, {("POST", "/v1/requests"): partial(requests.hand_in, services)})
    return Edge(direct, metrics=HttpMetrics(registry), send_seconds=services.settings.send_seconds)


def _expose(services: Services, registry: CollectorRegistry) -> None:
    acceptor, hub, index = services.acceptor, services.hub, services.catalogue_index
    count("tongban_intake_accepted", "Requests put on Kafka", lambda: acceptor.accepted, registry)
    watch("tongban_intake_accepting", "Submissions under way", lambda: acceptor.under_way, registry)
    watch("tongban_intake_streams_open", "Open event streams", lambda: hub.open, registry)
    watch("tongban_intake_items", "Items on offer", lambda: len(index.catalogue), registry)


def _answer_errors(app: FastAPI, pages: Pages) -> None:
    """Answer every error with a problem document (RFC 9457), below /kiosk with a page."""

    def answer(request: Request, problem: ProblemError) -> Response:
        if request.url.path.startswith("/kiosk"):
            return pages.problem(problem)
        return problem.response(language_of(request))

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    async def from_framework(request: Request, error: HTTPException) -> Response:
        kind = _BY_STATUS.get(error.status_code, Kind.MALFORMED)
        headers = dict(error.headers or {})
        return answer(request, ProblemError(kind, headers=headers))

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        # FastAPI reads parameters only. The first step of `loc` is "query" or "path": leave it out.
        errors: list[Any] = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
        return answer(request, ProblemError(Kind.INVALID, errors=of_model(errors)))

    @app.exception_handler(StoreUnavailableError)
    async def store_unavailable(request: Request, _: StoreUnavailableError) -> Response:
        detail = Text("数据暂时无法读取，请稍后重试", "The store does not answer; try again")
        return answer(request, ProblemError(Kind.UNAVAILABLE, detail, retry_after=2))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        # The framework raises the error again after this answer, and `Edge` logs it.
        return answer(request, ProblemError(Kind.INTERNAL))
