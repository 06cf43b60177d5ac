"""A lobby manager's sign-in at the kiosk's page: how long it lasts, and for whom."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from dataclasses import replace
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.access import tokens
from tongban_intake.access.auth import COOKIE, Authenticator
from tongban_intake.access.signed_values import SignedValues
from tongban_intake.access.token_client import Grant
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.limits import KioskRates
from tongban_intake.kiosk.session import ASSISTANT_COOKIE, SIGN_OUT, VISIT_COOKIE, Session
from tongban_intake.problems import Kind, ProblemError

SECRET = "s" * 32
IDLE = 180
VISIT = 1800
KIOSK = Kiosk("k-1", "b-1", "local", 1 << 40)
BOTH = Kiosk("k-1", "b-1", "local", 1 << 40, assistant="lm-1", assistant_epoch=1)


class Page:
    """A session whose clock is moved by hand, and the cookies of one browser."""

    def __init__(self) -> None:
        self.now = time.time()
        self.standing = True
        enrolled: Any = SimpleNamespace(
            is_valid=lambda kiosk: self.standing or kiosk.assistant is None,
            must_be_valid=self._must_be_valid,
        )
        settings = SimpleNamespace(
            token_secrets=(SECRET,),
            assistant_idle_seconds=IDLE,
            visit_seconds=VISIT,
            body_limit=4096,
            body_seconds=1,
        )
        services: Any = SimpleNamespace(
            settings=settings,
            auth=Authenticator(SECRET, enrolled),
            reads=KioskRates(1000, 1000),
            rates=KioskRates(1000, 1000),
        )
        self.session = Session(services, now=lambda: self.now)
        self.cookies = {COOKIE: tokens.seal(SECRET, KIOSK)}

    def _must_be_valid(self, kiosk: Kiosk) -> Kiosk:
        if not self.standing:
            raise tokens.InvalidTokenError
        return kiosk

    def request(self, query: str = "") -> Request:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return Request({
            "type": "http", "method": "GET", "path": "/kiosk", "scheme": "http",
            "query_string": query.encode(), "headers": [(b"cookie", cookie.encode())],
            "server": ("h", 80),
        })  # fmt: skip

    def take(self, response: Response) -> None:
        """Keep the cookies of an answer."""
        for each in response.headers.getlist("set-cookie"):
            for name, morsel in SimpleCookie(each).items():
                self.cookies[name] = morsel.value

    def sign_in(self) -> None:
        response = Response(media_type="text/html")
        grant = Grant(tokens.seal(SECRET, BOTH), 900)
        self.session.sign_in(self.request(), response, grant)
        self.take(response)

    def visit(self, query: str = "", media_type: str = "text/html") -> str | None:
        """Ask for a page; who assists."""
        request = self.request(query)
        kiosk = self.session.kiosk(request)
        response = Response(media_type=media_type)
        self.session.renew(request, response)
        self.take(response)
        return kiosk.assistant


@pytest.fixture
def page() -> Page:
    made = Page()
    made.sign_in()
    return made


def test_session_is_kept_by_use_and_ended_by_idleness(page: Page) -> None:
    for _ in range(4):
        page.now += IDLE - 1
        assert page.visit() == "lm-1"
    page.now += IDLE
    assert page.visit() is None


def test_automatic_fetch_of_a_page_does_not_prolong_the_session(page: Page) -> None:
    page.now += IDLE - 1
    assert page.visit("part=1") == "lm-1"
    assert page.visit(media_type="text/event-stream") == "lm-1"
    page.now += 1
    assert page.visit() is None


def test_the_moment_of_use_cannot_be_altered(page: Page) -> None:
    before = page.cookies[ASSISTANT_COOKIE]
    page.now += IDLE
    later = SignedValues(SECRET, "sign-in", seconds=IDLE, now=lambda: page.now).write("")
    token, _, signature = before.rsplit(".", 2)
    page.cookies[ASSISTANT_COOKIE] = ".".join((token, later.rsplit(".", 2)[1], signature))
    assert page.visit() is None
    for nonsense in ("", ".", "x.y.z", before[1:], "1.é.z", tokens.seal(SECRET, BOTH)):
        page.cookies[ASSISTANT_COOKIE] = nonsense
        assert page.visit() is None


def test_session_is_not_valid_at_another_kiosk(page: Page) -> None:
    other = Kiosk("k-2", "b-1", "local", KIOSK.expires)
    page.cookies[COOKIE] = tokens.seal(SECRET, other)
    assert page.visit() is None


def test_signed_out_is_signed_out(page: Page) -> None:
    response = Response()
    page.session.sign_out(page.request(), response, BOTH)
    page.take(response)
    assert page.visit() is None
    assert page.session.kiosk(page.request()).kiosk_id == "k-1"


def test_a_login_with_a_token_of_both_can_be_signed_out_of(page: Page) -> None:
    page.cookies = {COOKIE: tokens.seal(SECRET, BOTH)}
    assert page.visit() == "lm-1"
    response = Response()
    page.session.sign_out(page.request(), response, BOTH)
    page.take(response)
    assert page.visit() is None


# --- the visit


class Visitor(Page):
    """A person at the page: each call is one page that is asked for by hand."""

    def asks(self, *, home: bool = False, hands_in: str | None = None) -> tuple[Request, Kiosk]:
        request = self.request()
        kiosk = self.session.kiosk(request)
        if home:
            self.session.begin_visit(request, kiosk)
        if hands_in is not None:
            self.session.let_see(request, kiosk, hands_in)
        response = Response(media_type="text/html")
        self.session.renew(request, response)
        self.take(response)
        return request, kiosk

    def sees(self, request_id: str) -> bool:
        request, kiosk = self.asks()
        return self.session.may_see(request, kiosk, request_id)


@pytest.fixture
def visitor() -> Visitor:
    made = Visitor()
    made.asks(home=True)
    return made


def test_request_is_seen_in_the_visit_that_handed_it_in(visitor: Visitor) -> None:
    assert not visitor.sees("r-1")
    visitor.asks(hands_in="r-1")
    visitor.asks(hands_in="r-2")
    assert visitor.sees("r-1")
    assert visitor.sees("r-2")
    assert not visitor.sees("r-3")


def test_home_page_ends_the_visit(visitor: Visitor) -> None:
    visitor.asks(hands_in="r-1")
    visitor.asks(home=True)
    assert not visitor.sees("r-1")


def test_visit_without_use_ends(visitor: Visitor) -> None:
    visitor.asks(hands_in="r-1")
    visitor.now += VISIT - 1
    assert visitor.sees("r-1")
    visitor.now += VISIT - 1
    assert visitor.sees("r-1")
    visitor.now += VISIT
    assert not visitor.sees("r-1")


def test_signed_in_lobby_manager_sees_every_request_of_the_branch(visitor: Visitor) -> None:
    visitor.sign_in()
    assert visitor.sees("r-9")
    visitor.now += IDLE
    assert not visitor.sees("r-9")


def test_visit_of_another_kiosk_or_altered_is_not_taken(visitor: Visitor) -> None:
    visitor.asks(hands_in="r-1")
    mine = visitor.cookies[VISIT_COOKIE]
    for nonsense in ("", ".", "x.1.y", mine + ".r-2", mine[1:], "é.1.2"):
        visitor.cookies[VISIT_COOKIE] = nonsense
        assert not visitor.sees("r-2")
        assert not visitor.sees("r-1")
    visitor.cookies[VISIT_COOKIE] = mine
    assert visitor.sees("r-1")
    visitor.cookies[COOKIE] = tokens.seal(SECRET, Kiosk("k-2", "b-1", "local", KIOSK.expires))
    assert not visitor.sees("r-1")


def test_visit_cookie_stays_small(visitor: Visitor) -> None:
    ids = [f"r-{number:029}" for number in range(200)]
    for each in ids:
        visitor.asks(hands_in=each)
    assert len(visitor.cookies[VISIT_COOKIE]) < 1000
    assert visitor.sees(ids[-1])
    assert not visitor.sees(ids[0])


async def accepts(visitor: Visitor, kiosk: Kiosk, key: str, proof: str) -> bool:
    body = urlencode({"key": key, "proof": proof}).encode()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "method": "POST", "path": "/kiosk", "headers": []}
    try:
        posted = await visitor.session.posted(Request(scope, receive), kiosk)
    except ProblemError as refused:
        assert refused.kind is Kind.FORBIDDEN
        return False
    assert posted["key"] == [key]
    return True


async def test_form_of_a_visit_that_is_over_has_no_valid_proof(visitor: Visitor) -> None:
    _, kiosk = visitor.asks()
    proof, out = visitor.session.proof(kiosk, "k"), visitor.session.proof(kiosk, SIGN_OUT)
    visitor.now += VISIT - 1
    _, kiosk = visitor.asks()
    assert await accepts(visitor, kiosk, "k", proof)
    assert await accepts(visitor, kiosk, SIGN_OUT, out)
    _, kiosk = visitor.asks(home=True)
    assert not await accepts(visitor, kiosk, "k", proof)
    assert await accepts(visitor, kiosk, SIGN_OUT, out)


async def test_proof_of_another_kiosk_key_or_purpose_is_refused(visitor: Visitor) -> None:
    _, kiosk = visitor.asks()
    proof = visitor.session.proof(kiosk, "k")
    assert not await accepts(visitor, replace(kiosk, kiosk_id="k-2"), "k", proof)
    assert not await accepts(visitor, kiosk, "k2", proof)
    for other in ("", "0" * 64, proof[:-1], "é", visitor.cookies[VISIT_COOKIE]):
        assert not await accepts(visitor, kiosk, "k", other)


async def test_proof_of_sign_out_form_ends_after_a_day_at_the_branch(visitor: Visitor) -> None:
    _, kiosk = visitor.asks()
    out = visitor.session.proof(kiosk, SIGN_OUT)
    visitor.now += 12 * 3600
    assert not await accepts(visitor, kiosk, SIGN_OUT, out)
