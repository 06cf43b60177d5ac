"""Serve the pages that submit a request: the form, its confirmation, and the submission itself.

Each form has one Idempotency-Key, kept in the page, so that a double click, a reload or going back
and forth results in one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_common.catalogue import Item
from tongban_intake.access.tokens import Kiosk
from tongban_intake.kiosk import display, fields
from tongban_intake.kiosk.assisting import PendingSignIn, SignInPage
from tongban_intake.kiosk.fields import NO_ERRORS, Errors, Posted
from tongban_intake.kiosk.rendering import PageGroup, Pages
from tongban_intake.kiosk.session import Session, new_key
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services
from tongban_intake.submission import notes
from tongban_intake.text import Text

_TRY_AGAIN = (Kind.UNAVAILABLE, Kind.TOO_MANY)
_CARRIED = ("form.", "applicant.", "assist", "print")
_FIRST: Mapping[str, list[str]] = {
    "applicant.id_type": ["resident_id"],
    "applicant.agent.id_type": ["resident_id"],
    "print": ["1"],
}


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the routes GET and POST /kiosk/items/{code}."""
    routes = APIRouter(
        prefix="/kiosk/items", include_in_schema=False, route_class=session.route_class()
    )
    apply_pages = _ApplyPages(services, pages, session)

    @routes.get("/{code}")
    async def form(request: Request, code: str, example: bool = False) -> Response:
        kiosk = session.kiosk(request)
        item = apply_pages.item(code)
        posted = fields.example_of(item) if example else _first(item)
        if kiosk.assistant is not None:
            posted = {**posted, "assisted": ["1"]}
        return apply_pages.form(kiosk, item, new_key(), posted, {})

    @routes.post("/{code}")
    async def step(request: Request, code: str) -> Response:
        kiosk = session.kiosk(request)
        posted = await session.posted(request, kiosk)
        item = apply_pages.item(code)
        posted = fields.cleaned(item, posted)
        key = posted["key"][0]
        if choice := posted.get("show", [""])[0]:
            display.choose(request, choice)
            again = apply_pages.form if posted.get("page") == ["form"] else apply_pages.read_over
            return again(kiosk, item, key, posted)
        match posted.get("step", [""])[0]:
            case "edit":
                return apply_pages.form(kiosk, item, key, posted)
            case "sign_in":
                return apply_pages.sign_in(kiosk, item, key, posted)
            case "signed":
                return await apply_pages.signed_in(request, kiosk, item, key, posted)
            case "submit":
                return await apply_pages.submit(request, kiosk, item, key, posted)
            case _:
                return apply_pages.read_over(kiosk, item, key, posted)

    return routes


def _first(item: Item) -> Posted:
    kind = "company" if item.audience == "company" else "person"
    return {**_FIRST, "applicant.type": [kind]}


class _ApplyPages(PageGroup):
    def __init__(self, services: Services, pages: Pages, session: Session) -> None:
        super().__init__(services, pages, session)
        self._sign_in_page = SignInPage(services, pages, session)

    def item(self, code: str) -> Item:
        item = self._services.catalogue_index.get(code)
        if item is None:
            raise ProblemError(
                Kind.NOT_FOUND, Text("这个事项已停止办理", "The item is not offered any more")
            )
        return item

    def form(
        self, kiosk: Kiosk, item: Item, key: str, posted: Posted, errors: Errors = NO_ERRORS
    ) -> Response:
        return self.form_page(
            "form.html",
            kiosk,
            key,
            code=422 if errors else 200,
            item=item,
            posted=posted,
            errors=errors,
            must_sign_in=self._services.settings.assisted_sign_in,
            province_trouble=self._services.provinces.trouble(item.province),
            closed=notes.closed_now(item, self._services.clock.now(), self._services.holidays),
            **_sections(item, posted, errors),
        )

    def read_over(
        self, kiosk: Kiosk, item: Item, key: str, posted: Posted, notice: Text | None = None
    ) -> Response:
        """Return the page to confirm, with all values; the form again where one of them is
        wrong."""
        try:
            self._services.checker.check(
                _body(kiosk, item, posted),
                today=self._services.clock.now().date(),
                signed_in=kiosk.assistant,
            )
        except ProblemError as problem:
            return self.form(kiosk, item, key, posted, _by_pointer(problem))
        return self.form_page(
            "confirm.html",
            kiosk,
            key,
            item=item,
            posted=posted,
            carried=_carried(posted),
            notice=notice,
            **_sections(item, posted, {}),
        )

    def sign_in(self, kiosk: Kiosk, item: Item, key: str, posted: Posted) -> Response:
        """Return the lobby manager's sign-in page, which carries all that was typed."""
        return self._sign_in_page.page(_pending(kiosk, item, key, posted))

    async def signed_in(
        self, request: Request, kiosk: Kiosk, item: Item, key: str, posted: Posted
    ) -> Response:
        """Return the form with the signed-in lobby manager; the sign-in page if he was refused."""
        grant = await self._sign_in_page.sign_in(_pending(kiosk, item, key, posted), posted)
        if isinstance(grant, Response):
            return grant
        both = self._services.auth.token(grant.token)
        response = self.form(both, item, key, {**posted, "assisted": ["1"]}, {})
        self._session.sign_in(request, response, grant)
        return response

    async def submit(
        self, request: Request, kiosk: Kiosk, item: Item, key: str, posted: Posted
    ) -> Response:
        if posted.get("version", [""])[0] != str(item.version):
            notice = Text(
                "这个事项的内容（如费用、材料）刚有更新，请重新核对后再提交。",
                "This service has just changed (such as its fee or papers). Please check again.",
            )
            return self.read_over(kiosk, item, key, posted, notice)
        body = _body(kiosk, item, posted)
        try:
            request_id, _ = await self._services.acceptor.accept(kiosk, key, body)
        except ProblemError as problem:
            if problem.kind is Kind.INVALID:
                return self.form(kiosk, item, key, posted, _by_pointer(problem))
            if problem.kind is Kind.KEY_REUSED:
                notice = Text(
                    "您刚才已提交过一次，本次内容有改动。如需另办一件，请再次确认提交。",
                    "You have submitted this before, with other content. To submit another request,"
                    " press “Submit” again.",
                )
                return self.read_over(kiosk, item, new_key(), posted, notice)
            if problem.kind in _TRY_AGAIN:
                notice = Text(
                    "系统繁忙，尚未提交成功。请稍等几秒，再按一次“确认提交”，不会重复办理。",
                    "The system is busy; nothing was submitted yet. Wait some seconds and press"
                    " “Submit” again: it takes effect once.",
                )
                return self.read_over(kiosk, item, key, posted, notice)
            raise
        self._session.let_see(request, kiosk, request_id)
        return RedirectResponse(f"/kiosk/requests/{request_id}", status_code=303)


def _pending(kiosk: Kiosk, item: Item, key: str, posted: Posted) -> PendingSignIn:
    return PendingSignIn(kiosk, f"/kiosk/items/{item.code}", key, _carried(posted))


def _carried(posted: Posted) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in posted.items()
        if name.startswith(_CARRIED)
        for value in values
    ]


def _body(kiosk: Kiosk, item: Item, posted: Posted) -> dict[str, Any]:
    """Return the body to submit. A signed-in lobby manager replaces the id that was typed."""
    body = fields.read_submission(item, posted)
    if kiosk.assistant is not None and body["channel"] == "assisted":
        body["assistant"] = kiosk.assistant
    return body


def _sections(item: Item, posted: Posted, errors: Errors) -> dict[str, Any]:
    return {
        "form_fields": fields.form_fields(item, posted, errors),
        "person_fields": fields.person_fields(posted, errors, under="applicant"),
        "company_fields": fields.company_fields(posted, errors),
        "agent_fields": fields.person_fields(posted, errors, under="applicant.agent"),
    }


def _by_pointer(problem: ProblemError) -> Errors:
    found: dict[str, Text] = {}
    for error in problem.errors:
        found.setdefault(error.pointer, error.message)
    return found
