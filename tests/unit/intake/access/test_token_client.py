"""What a kiosk, and `tongban kiosk token`, make of answers that are not intake's."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tongban_intake.access.token_client import PATH, Grant, TokenRefusedError, request_token


async def answered(status: int, text: str, content_type: str) -> Grant:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    app = web.Application()
    app.router.add_post(PATH, answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("")).rstrip("/")
        return await request_token(session, url, kiosk_id="k-1", key=Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("status", "text", "content_type"),
    [
        (502, "<html>Bad Gateway</html>", "text/html"),  # of a proxy
        (503, "", "text/plain"),
        (500, "[1]", "application/json"),
        (200, "<html>Welcome</html>", "text/html"),  # another server at this address
        (200, "{}", "application/json"),
        (200, '{"access_token": 1, "expires_in": "soon"}', "application/json"),
    ],
)
async def test_whatever_is_no_token_is_a_no(status: int, text: str, content_type: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        await answered(status, text, content_type)
    assert refused.value.status == status


async def test_a_token_and_a_reason_come_through() -> None:
    granted = await answered(200, '{"access_token": "t", "expires_in": 5}', "application/json")
    assert granted == Grant("t", 5)
    with pytest.raises(TokenRefusedError, match="403: not you"):
        await answered(403, '{"detail": "not you"}', "application/problem+json")
