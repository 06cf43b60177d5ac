"""The kiosk's side of the token endpoint: sign an assertion, get a bearer."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tongban_common.enrolment.assertion import GRANT_TYPE, sign

PATH = "/v1/token"


class TokenRefused(Exception):
    """Intake did not give a token; `status` is its answer's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Grant:
    """A bearer token, and for how many seconds from now it is good."""

    token: str
    expires_in: int


async def trade(
    session: aiohttp.ClientSession, intake: str, *, kiosk_id: str, key: Ed25519PrivateKey
) -> Grant:
    """A bearer token for a kiosk, from the intake at this base URL.

    Raises:
        TokenRefused: a clear no.
        aiohttp.ClientError, TimeoutError: no answer; sign and ask again.
    """
    url = intake.rstrip("/") + PATH
    form = {
        "grant_type": GRANT_TYPE,
        "assertion": sign(key, kiosk_id=kiosk_id, audience=url),
    }
    async with session.post(url, data=form, headers={"Accept-Language": "en"}) as reply:
        if reply.status != 200:
            body = await reply.json(content_type=None) if reply.content_length else {}
            text = body.get("detail") or body.get("title") or "no token"
            raise TokenRefused(reply.status, f"{reply.status}: {text}")
        body = await reply.json()
    return Grant(body["access_token"], int(body["expires_in"]))
