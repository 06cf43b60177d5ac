"""Logging a kiosk's browser in: by a form of our own, and by no other site."""

from __future__ import annotations

from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.access import tokens
from tongban_intake.access.auth import COOKIE, Authenticator
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.limits import KioskRates
from tongban_intake.kiosk.login import KioskLogin
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import Session
from tongban_intake.problems import Kind, ProblemError

SECRET = "s" * 32
TOKEN = tokens.seal(SECRET, Kiosk("k-1", "b-1", "local", 1 << 40))


def kiosk_login(environment: str = "production", origins: str = "") -> KioskLogin:
    settings = SimpleNamespace(
        environment=environment, login_origins=origins, body_seconds=1, visit_seconds=60,
        assistant_idle_seconds=1,
        token_secrets=(SECRET,),
    )  # fmt: skip
    enrolled: Any = SimpleNamespace(is_valid=lambda _: True, must_be_valid=lambda kiosk: kiosk)
    services: Any = SimpleNamespace(
        settings=settings, auth=Authenticator(SECRET, enrolled), reads=KioskRates(1, 1)
    )
    pages = Pages(
        idle_seconds=1,
        assistant_idle_seconds=1,
        touch_keyboard="touch",
        printer_trouble=lambda _: None,
        sign_out_proof=lambda _: "",
        help_proof=lambda _: "",
        calls_for_help=lambda _: False,
    )
    return KioskLogin(services, pages, Session(services))


def request(body: bytes = b"", **headers: str) -> Request:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/kiosk/login", "scheme": "http",
        "query_string": b"", "headers": [(b"host", b"intake"), *given], "server": ("intake", 80),
    }  # fmt: skip
    return Request(scope, receive)


async def posts(door: KioskLogin, **headers: str) -> Response:
    return await door.log_in(request(f"token={TOKEN}".encode(), **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://intake", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
async def test_form_of_our_own_or_of_an_agent_logs_in(headers: dict[str, str]) -> None:
    answer = await posts(kiosk_login(), **headers)
    assert answer.status_code == 303
    assert f"{COOKIE}={TOKEN}" in answer.headers["set-cookie"]
    assert TOKEN not in answer.headers["location"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_login_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ProblemError) as refused:
        await posts(kiosk_login("development"), **headers)
    assert refused.value.kind is Kind.FORBIDDEN


async def test_form_of_a_configured_agent_logs_in() -> None:
    door = kiosk_login(origins="http://127.0.0.1:9000, http://127.0.0.1:9001/")
    for port in (9000, 9001):
        origin = f"http://127.0.0.1:{port}"
        answer = await posts(door, origin=origin, sec_fetch_site="cross-site")
        assert answer.status_code == 303


async def test_foreign_token_is_refused() -> None:
    with pytest.raises(ProblemError) as refused:
        await kiosk_login().log_in(request(b"token=nonsense"))
    assert refused.value.kind is Kind.UNAUTHENTICATED


def test_token_in_the_address_is_for_development_alone() -> None:
    with pytest.raises(ProblemError) as refused:
        kiosk_login().page(request(), TOKEN)
    assert refused.value.kind is Kind.MALFORMED
    assert kiosk_login("development").page(request(), TOKEN).status_code == 303
    with pytest.raises(ProblemError):
        kiosk_login("development").page(request(sec_fetch_site="cross-site"), TOKEN)


def test_address_without_a_token_shows_the_form() -> None:
    page = bytes(kiosk_login().page(request(), "").body).decode()
    assert 'action="/kiosk/login"' in page
