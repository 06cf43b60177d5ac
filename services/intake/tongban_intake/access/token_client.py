"""Request a bearer token, as a kiosk does: sign an assertion and post it to the token endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tongban_intake.access.enrolment.assertion import GRANT_TYPE, sign
from tongban_intake.errors import IntakeError

PATH = "/v1/token"


class TokenRefusedError(IntakeError):
    """Raised when an answer has no token; `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Grant:
    """Holds a bearer token, which is valid for `expires_in` seconds from its receipt."""

    token: str
    expires_in: int


async def request_token(
    session: aiohttp.ClientSession, intake: str, *, kiosk_id: str, key: Ed25519PrivateKey
) -> Grant:
    """Request a bearer token for a kiosk from the intake at this base URL.

    Raises:
        TokenRefusedError: intake refused, or another party answered (a proxy's page).
        aiohttp.ClientError, TimeoutError: no answer; the caller may repeat the call, which signs a
            new assertion.
    """
    url = intake.rstrip("/") + PATH
    form = {
        "grant_type": GRANT_TYPE,
        "assertion": sign(key, kiosk_id=kiosk_id, audience=url),
    }
    async with session.post(url, data=form, headers={"Accept-Language": "en"}) as reply:
        body = await _body(reply)
    token, expires_in = body.get("access_token"), body.get("expires_in")
    if reply.status == 200 and isinstance(token, str) and isinstance(expires_in, int):
        return Grant(token, expires_in)
    text = body.get("detail") or body.get("title") or f"no token in the answer of {url}"
    raise TokenRefusedError(reply.status, f"{reply.status}: {text}")


async def _body(reply: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        body = await reply.json(content_type=None)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
