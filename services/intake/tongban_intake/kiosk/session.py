"""Keep sessions of the kiosk's pages: cookies for login, visit and sign-in, proofs for forms."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.access import tokens
from tongban_intake.access.auth import COOKIE
from tongban_intake.access.signed_values import SignedValues
from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.body import read_bytes
from tongban_intake.kiosk import display
from tongban_intake.kiosk.visit import Visit, VisitCookie
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import Services
from tongban_intake.text import Text

ASSISTANT_COOKIE = "tongban_assistant"
VISIT_COOKIE = "tongban_visit"
SIGN_OUT, HELP = "sign-out", "help"
"""Keys of the forms that sign a lobby manager out, and that call for one or answer the call. They
are fixed: repeating either is harmless."""
_OF_NO_VISIT = frozenset({SIGN_OUT, HELP})
_MOST_FIELDS = 300
_FORM_S = 12 * 3600
"""Seconds for which a form can be posted: a day at the branch. A form of a visit ends with it, so
this bounds the form that signs a lobby manager out."""
_VISIT_ID: ContextVar[str] = ContextVar("visit_id", default="")
"""Id of the visit that the current HTTP request belongs to."""


def new_key() -> str:
    """Return a new Idempotency-Key for a form, so that posting it twice results in one request."""
    return uuid.uuid4().hex


class Session:
    """Reads and writes cookies and form proofs, for all pages.

    A lobby manager's sign-in has a cookie beside the kiosk's. It holds the token of both and,
    signed, the time when a person last requested a page: after `assistant_idle_seconds` the cookie
    is invalid, whether or not the browser still has it.

    The cookies are SameSite=Strict. Against cross-site request forgery every form also carries a
    signed proof of kiosk, visit and key. A form of an earlier visit is refused, because posting it
    again would show the next person what the one before had typed.
    """

    def __init__(self, services: Services, *, now: Callable[[], float] = time.time) -> None:
        self._services = services
        self._now = now
        settings = services.settings
        secrets = settings.token_secrets
        self._secret = secrets[0]
        self._visits = VisitCookie(secrets, seconds=settings.visit_seconds, now=now)
        self._sign_ins = SignedValues(
            secrets, "sign-in", seconds=settings.assistant_idle_seconds, now=now
        )
        self._forms = SignedValues(secrets, "form", seconds=_FORM_S, now=now)

    def kiosk(self, request: Request) -> Kiosk:
        """Return the kiosk that has logged in, with the lobby manager who has signed in there, if
        any.

        Raises:
            ProblemError: 401, no kiosk has; 429, too many GETs.
        """
        kiosk = self._services.auth.cookie(request)
        if kiosk is None:
            raise ProblemError(
                Kind.UNAUTHENTICATED, Text("终端登录已过期，请联系大堂经理", "Log the kiosk in")
            )
        if request.method == "GET":
            self._services.reads.take(kiosk.kiosk_id)
        self._find_visit(request, kiosk)
        found = self._signed_in(request, kiosk)
        if found is None:
            return kiosk
        token, both = found
        request.state.assisting = token, both.expires
        return both

    def log_in(self, response: Response, token: str, kiosk: Kiosk, *, secure: bool) -> None:
        """Set the cookie with the kiosk's token, out of reach of scripts."""
        left = kiosk.expires - int(time.time())
        _set_cookie(response, COOKIE, token, max_age=left, secure=secure)

    # --- the visit

    def _find_visit(self, request: Request, kiosk: Kiosk) -> None:
        cookie = request.cookies.get(VISIT_COOKIE, "")
        visit = self._visits.read(cookie, kiosk.kiosk_id)
        self._set_visit(request, visit or Visit.new(), kiosk)

    @staticmethod
    def _set_visit(request: Request, visit: Visit, kiosk: Kiosk) -> None:
        request.state.visit = visit, kiosk.kiosk_id
        _VISIT_ID.set(visit.visit_id)

    def begin_visit(self, request: Request, kiosk: Kiosk) -> None:
        """Begin a new visit: the next page belongs to the next person."""
        self._set_visit(request, Visit.new(), kiosk)

    def may_see(self, request: Request, kiosk: Kiosk, request_id: str) -> bool:
        """Return True if this page may show the request: it was submitted, or proved to be the
        person's own, during this visit, or a lobby manager has signed in."""
        visit: Visit = request.state.visit[0]
        return kiosk.assistant is not None or request_id in visit.requests

    def let_see(self, request: Request, kiosk: Kiosk, request_id: str) -> None:
        """Allow pages of this visit to show the request."""
        visit: Visit = request.state.visit[0]
        self._set_visit(request, visit.seeing(request_id), kiosk)

    def _keep_visit(self, request: Request, response: Response) -> None:
        visit, kiosk_id = request.state.visit
        secure = request.url.scheme == "https"
        cookie, left = self._visits.write(visit, kiosk_id), self._services.settings.visit_seconds
        _set_cookie(response, VISIT_COOKIE, cookie, max_age=left, secure=secure)

    # --- sign-in of a lobby manager

    def sign_in(self, request: Request, response: Response, grant: Grant) -> None:
        """Set the cookie with the token of kiosk and lobby manager."""
        self._keep(request, response, grant.token, grant.expires_in)

    def sign_out(self, request: Request, response: Response, kiosk: Kiosk) -> None:
        """Remove the lobby manager from the cookies; the kiosk stays logged in."""
        response.delete_cookie(ASSISTANT_COOKIE, path="/kiosk")
        secure = request.url.scheme == "https"
        own = self._services.auth.cookie(request)
        # The kiosk itself may have logged in with a token of both.
        if own is not None and own.assistant is not None:
            alone = replace(kiosk, assistant=None, assistant_epoch=0)
            self.log_in(response, tokens.seal(self._secret, alone), alone, secure=secure)

    def route_class(self) -> type[APIRoute]:
        """Return a class for routes that renew visit and sign-in with each page that a person
        requests. What a page fetches by itself (parts, events, documents) does not renew them."""
        renew = self.renew

        class Used(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
                handle: Any = super().get_route_handler()

                async def handler(request: Request) -> Response:
                    display.begin(request)
                    response: Response = await handle(request)
                    renew(request, response)
                    display.keep(request, response)
                    return response

                return handler

        return Used

    def renew(self, request: Request, response: Response) -> None:
        """Renew the cookies of the visit and of a signed-in lobby manager, if a person has
        requested this page."""
        assisting: tuple[str, int] | None = getattr(request.state, "assisting", None)
        by_hand = response.media_type == "text/html" and "part" not in request.query_params
        if not (by_hand or response.status_code == 303):
            return
        if getattr(request.state, "visit", None) is not None:
            self._keep_visit(request, response)
        if assisting is None:
            return
        if any(ASSISTANT_COOKIE in each for each in response.headers.getlist("set-cookie")):
            return  # this answer signs a lobby manager in or out
        token, expires = assisting
        self._keep(request, response, token, expires - int(self._now()))

    def _keep(self, request: Request, response: Response, token: str, left: int) -> None:
        secure = request.url.scheme == "https"
        left = min(left, self._services.settings.assistant_idle_seconds)
        cookie = self._sign_ins.write(token)
        _set_cookie(response, ASSISTANT_COOKIE, cookie, max_age=left, secure=secure)

    def _signed_in(self, request: Request, kiosk: Kiosk) -> tuple[str, Kiosk] | None:
        token = self._sign_ins.read(request.cookies.get(ASSISTANT_COOKIE, ""))
        if not isinstance(token, str):
            return None
        try:
            both = self._services.auth.token(token)
        except ProblemError:  # expired, or kiosk or lobby manager was revoked
            return None
        same = (both.kiosk_id, both.branch_id) == (kiosk.kiosk_id, kiosk.branch_id)
        return (token, both) if same else None

    # --- forms

    def proof(self, kiosk: Kiosk, key: str) -> str:
        """Return the proof that a form of this visit carries beside its key. The forms that sign a
        lobby manager out and call one belong to no visit, so that they work from every page."""
        return self._forms.write(_proved(kiosk, key))

    async def posted(self, request: Request, kiosk: Kiosk) -> dict[str, list[str]]:
        """Return the fields of a posted form, after checking its proof.

        Raises:
            ProblemError: 400; 403, the form is not from a page of this visit; 408; 413; 429.
        """
        posted = await self._fields(request, kiosk)
        self._check(kiosk, posted.get("key", [""])[0], posted.get("proof", [""])[0])
        return posted

    async def pressed(self, request: Request, kiosk: Kiosk, key: str) -> dict[str, list[str]]:
        """Return the fields of a posted form that has its proof in the address: a button that is on
        pages with other forms, and has no fields but its own.

        Raises:
            ProblemError: as `posted`.
        """
        posted = await self._fields(request, kiosk)
        self._check(kiosk, key, request.query_params.get("proof", ""))
        return posted

    async def _fields(self, request: Request, kiosk: Kiosk) -> dict[str, list[str]]:
        settings = self._services.settings
        self._services.rates.take(kiosk.kiosk_id)
        raw = await read_bytes(request, limit=settings.body_limit, seconds=settings.body_seconds)
        try:
            return parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise ProblemError(Kind.MALFORMED) from None

    def _check(self, kiosk: Kiosk, key: str, proof: str) -> None:
        if self._forms.read(proof) != _proved(kiosk, key):
            raise ProblemError(
                Kind.FORBIDDEN, Text("页面已失效，请返回首页重新办理", "Start again")
            )


def _set_cookie(response: Response, name: str, value: str, *, max_age: int, secure: bool) -> None:
    """Set a cookie for the kiosk's pages alone, out of reach of scripts and of other sites."""
    response.set_cookie(
        name,
        value,
        max_age=max(0, max_age),
        path="/kiosk",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def _proved(kiosk: Kiosk, key: str) -> list[str]:
    return [kiosk.kiosk_id, "" if key in _OF_NO_VISIT else _VISIT_ID.get(), key]
