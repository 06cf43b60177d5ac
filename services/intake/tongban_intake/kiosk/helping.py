"""Serve the button that calls the lobby manager, and the desk's answer to it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_intake.access.tokens import Kiosk
from tongban_intake.kiosk import display
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import HELP, Session
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services
from tongban_intake.text import Text


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the routes POST /kiosk/help, GET and POST /kiosk/desk/calls."""
    routes = APIRouter(prefix="/kiosk", include_in_schema=False, route_class=session.route_class())

    @routes.post("/help")
    async def call(request: Request) -> Response:
        kiosk = session.kiosk(request)
        wanted = await session.pressed(request, kiosk, HELP)
        if wanted.get("what", [""])[0] == "cancel":
            await services.help_calls.end(kiosk.kiosk_id)
        else:
            await services.help_calls.call(kiosk)
        back = display.page_of_ours(request.query_params.get("back", ""))
        return RedirectResponse(back, status_code=303)

    @routes.get("/desk/calls")
    async def calls(request: Request) -> Response:
        """The part of the desk that it asks for again and again."""
        kiosk = _signed_in(session.kiosk(request))
        return pages.page(
            "desk_calls.html", kiosk=kiosk, calls=services.help_calls.of_branch(kiosk.branch_id)
        )

    @routes.post("/desk/calls")
    async def answer(request: Request) -> Response:
        kiosk = _signed_in(session.kiosk(request))
        wanted = await session.pressed(request, kiosk, HELP)
        kiosk_id = wanted.get("kiosk_id", [""])[0]
        of_branch = services.help_calls.of_branch(kiosk.branch_id)
        if any(each.kiosk_id == kiosk_id for each in of_branch):
            await services.help_calls.end(kiosk_id)
        return RedirectResponse("/kiosk/desk", status_code=303)

    return routes


def _signed_in(kiosk: Kiosk) -> Kiosk:
    if kiosk.assistant is None:
        detail = Text("请大堂经理先登录", "A lobby manager has to sign in first")
        raise ProblemError(Kind.FORBIDDEN, detail)
    return kiosk
