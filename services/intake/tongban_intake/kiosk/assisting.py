"""A lobby manager (大堂经理) signs in at the page, on top of the kiosk, and out again.

Signing in from a half-filled form keeps what was typed: it comes along, and goes back to the form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.kiosk import cleaning
from tongban_intake.kiosk.fields import Posted
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import SIGN_OUT, Session, new_key
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services

_TOLD_ON_THE_PAGE = (Kind.FORBIDDEN, Kind.TOO_MANY, Kind.UNAVAILABLE)
_HERE = "/kiosk/assistant"


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """GET and POST /kiosk/assistant, POST /kiosk/assistant/out."""
    routes = APIRouter(prefix=_HERE, include_in_schema=False, route_class=session.route_class())
    counter = SignInCounter(services, pages, session)

    @routes.get("")
    async def ask(request: Request) -> Response:
        return counter.page(PendingSignIn(session.kiosk(request), _HERE, new_key()))

    @routes.post("")
    async def sign_in(request: Request) -> Response:
        kiosk = session.kiosk(request)
        posted = await session.posted(request, kiosk)
        pending = PendingSignIn(kiosk, _HERE, posted["key"][0])
        signed_in = await counter.sign_in(pending, posted)
        if isinstance(signed_in, Response):
            return signed_in
        response = RedirectResponse("/kiosk", status_code=303)
        session.sign_in(request, response, signed_in)
        return response

    @routes.post("/out")
    async def sign_out(request: Request) -> Response:
        kiosk = session.kiosk(request)
        posted = await session.posted(request, kiosk)
        if posted["key"][0] != SIGN_OUT:
            raise ProblemError(Kind.FORBIDDEN)
        response = RedirectResponse("/kiosk", status_code=303)
        session.sign_out(request, response, kiosk)
        return response

    return routes


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """Where the sign-in goes to, and what of a form goes along."""

    kiosk: Kiosk
    action: str
    key: str
    carried: Iterable[tuple[str, str]] = ()


class SignInCounter:
    """The page that asks for id and PIN, and what becomes of them."""

    def __init__(self, services: Services, pages: Pages, session: Session) -> None:
        self._services = services
        self._pages = pages
        self._session = session

    def page(
        self, pending: PendingSignIn, *, who: str = "", problem: ProblemError | None = None
    ) -> Response:
        """The page, after a try with what was wrong. The PIN is never shown again."""
        detail = problem.detail or problem.kind.title if problem else None
        response = self._pages.page(
            "assistant.html",
            code=problem.kind.status if problem else 200,
            kiosk=pending.kiosk,
            action=pending.action,
            key=pending.key,
            proof=self._session.proof(pending.kiosk, pending.key),
            carried=list(pending.carried),
            who=who,
            wrong=detail.zh if detail else None,
            wait=problem.retry_after if problem else None,
        )
        if problem is not None and problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    async def sign_in(self, pending: PendingSignIn, posted: Posted) -> Grant | Response:
        """The token of both, or the page again where it was refused.

        Raises:
            ProblemError: one that the page cannot put right.
        """
        who = cleaning.email(posted.get("who", [""])[0])[:64]
        pin = cleaning.half_width(posted.get("pin", [""])[0]).strip()
        try:
            return await self._services.sign_in.sign_in(pending.kiosk, who, pin)
        except ProblemError as problem:
            if problem.kind not in _TOLD_ON_THE_PAGE:
                raise
            return self.page(pending, who=who, problem=problem)
