"""Serve the pages where a lobby manager (大堂经理) signs in, on top of the kiosk, and out.

A sign-in from a half-filled form carries what was typed, and returns it to the form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.kiosk import cleaning, display
from tongban_intake.kiosk.fields import Posted
from tongban_intake.kiosk.rendering import PageGroup, Pages
from tongban_intake.kiosk.session import SIGN_OUT, Session, new_key
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services

_TOLD_ON_THE_PAGE = (Kind.FORBIDDEN, Kind.TOO_MANY, Kind.UNAVAILABLE)
_HERE = "/kiosk/assistant"


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the routes GET and POST /kiosk/assistant, POST /kiosk/assistant/out."""
    routes = APIRouter(prefix=_HERE, include_in_schema=False, route_class=session.route_class())
    sign_in_page = SignInPage(services, pages, session)

    @routes.get("")
    async def ask(request: Request) -> Response:
        return sign_in_page.page(PendingSignIn(session.kiosk(request), _HERE, new_key()))

    @routes.post("")
    async def sign_in(request: Request) -> Response:
        kiosk = session.kiosk(request)
        posted = await session.posted(request, kiosk)
        pending = PendingSignIn(kiosk, _HERE, posted["key"][0])
        signed_in = await sign_in_page.sign_in(pending, posted)
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
        display.forget(request)  # an idle page leads here, too
        return response

    return routes


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """Describes a sign-in: the URL it is posted to, and the fields of a form that it carries."""

    kiosk: Kiosk
    action: str
    key: str
    carried: Iterable[tuple[str, str]] = ()


class SignInPage(PageGroup):
    """Asks for a lobby manager's id and PIN, and signs the lobby manager in."""

    def page(
        self, pending: PendingSignIn, *, who: str = "", problem: ProblemError | None = None
    ) -> Response:
        """Return the page, after a failed try with the problem. The PIN is never shown again."""
        return self.form_page(
            "assistant.html",
            pending.kiosk,
            pending.key,
            problem=problem,
            action=pending.action,
            carried=list(pending.carried),
            who=who,
        )

    async def sign_in(self, pending: PendingSignIn, posted: Posted) -> Grant | Response:
        """Return the token of kiosk and lobby manager, or the page again if the sign-in was
        refused.

        Raises:
            ProblemError: one that typing again cannot solve.
        """
        who = cleaning.email(posted.get("who", [""])[0])[:64]
        pin = cleaning.half_width(posted.get("pin", [""])[0]).strip()
        try:
            return await self._services.sign_in.sign_in(pending.kiosk, who, pin)
        except ProblemError as problem:
            if problem.kind not in _TOLD_ON_THE_PAGE:
                raise
            return self.page(pending, who=who, problem=problem)
