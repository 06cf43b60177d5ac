"""Serve /verify, to which the QR code of a sheet leads: for anyone, without a token or a cookie."""

from __future__ import annotations

from importlib import resources
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_common.domain.verification import normal
from tongban_common.store import StoreUnavailableError
from tongban_intake.api.documents import verified
from tongban_intake.http.static_files import StaticFiles
from tongban_intake.http.templates import templates_of
from tongban_intake.problems import Kind, ProblemError, language_of
from tongban_intake.services import Services
from tongban_intake.text import Language
from tongban_intake.verifying.texts import texts

_HERE = resources.files("tongban_intake.verifying")
_LONGEST_CODE = 64
"""Characters of what may be typed as a code, with spaces and dashes."""
_PREFIX = "/verify"
_TROUBLES = {Kind.NOT_FOUND: "unknown", Kind.TOO_MANY: "busy", Kind.UNAVAILABLE: "away"}


def router(services: Services) -> APIRouter:
    """Return the routes of /verify and below it."""
    routes = APIRouter(prefix=_PREFIX, include_in_schema=False)
    pages = _Pages()

    @routes.get("")
    async def ask(request: Request, code: str = "", lang: str = "") -> Response:
        language = _language(request, lang)
        if not code.strip():
            return pages.page("ask.html", language, _PREFIX)
        wanted = normal(code[:_LONGEST_CODE])
        if wanted is None:
            return pages.page("trouble.html", language, _PREFIX, status=404, trouble="unknown")
        query = "?lang=en" if lang == "en" else ""
        return RedirectResponse(f"{_PREFIX}/{wanted}{query}", status_code=303)

    @routes.get("/static/{name}")
    async def static(name: str) -> Response:
        return pages.static.response(name)

    @routes.get("/{code}")
    async def answer(request: Request, code: str, lang: str = "") -> Response:
        language = _language(request, lang)
        wanted = normal(code[:_LONGEST_CODE])
        here = _PREFIX if wanted is None else f"{_PREFIX}/{wanted}"
        try:
            services.anonymous_rates.take(request)
            found = await verified(services, code[:_LONGEST_CODE])
        except ProblemError as problem:
            if problem.kind not in _TROUBLES:
                raise
            return pages.trouble(problem, language, here)
        except StoreUnavailableError:
            return pages.trouble(ProblemError(Kind.UNAVAILABLE, retry_after=5), language, here)
        return pages.page("genuine.html", language, here, found=found)

    return routes


def _language(request: Request, chosen: str) -> Language:
    """Return the language that was chosen on the page, else the browser's."""
    match chosen:
        case "zh" | "en":
            return chosen
    return language_of(request)


class _Pages:
    def __init__(self) -> None:
        self.static = StaticFiles(_HERE.joinpath("static"), f"{_PREFIX}/static")
        self._templates = templates_of("tongban_intake.verifying")

    def page(
        self, template: str, language: Language, here: str, *, status: int = 200, **context: Any
    ) -> Response:
        body = self._templates.get_template(template).render(
            said=texts(language),
            language=language,
            here=here,
            ask=_PREFIX,
            static=self.static.urls,
            **context,
        )
        headers = {"Vary": "Accept-Language"}
        return Response(body, status_code=status, media_type="text/html", headers=headers)

    def trouble(self, problem: ProblemError, language: Language, here: str) -> Response:
        trouble = _TROUBLES[problem.kind]
        response = self.page(
            "trouble.html", language, here, status=problem.kind.status, trouble=trouble
        )
        if problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response
