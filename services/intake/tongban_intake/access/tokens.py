"""The bearer tokens of kiosks: who asks, from which branch, until when; signed with a secret.

base64url(claims as JSON) "." base64url(HMAC-SHA256), after JWS's compact form (RFC 7515) without
its header: there is one algorithm and nothing to negotiate.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import asdict, dataclass
from functools import lru_cache

import orjson

from tongban_common import base64url

_REMEMBERED = 8192
"""Tokens whose signature is not checked again; a kiosk comes with the same one many times."""


class InvalidTokenError(ValueError):
    """Not ours, altered, or out of date; the text says which."""


@dataclass(frozen=True, slots=True)
class Kiosk:
    """Who the bearer is, and which lobby manager has signed in there. `expires` is a Unix time in
    seconds; the epochs are those of the enrolment records (`tongban_intake.access.enrolment`) that
    the token was issued under: with a newer record it is void."""

    kiosk_id: str
    branch_id: str
    zone: str
    expires: int
    epoch: int = 0
    assistant: str | None = None
    assistant_epoch: int = 0


def _sign(secret: str, claims: str) -> str:
    return base64url.encode(hmac.new(secret.encode(), claims.encode(), hashlib.sha256).digest())


def seal(secret: str, kiosk: Kiosk) -> str:
    """The token that says this."""
    claims = base64url.encode(orjson.dumps(asdict(kiosk)))
    return f"{claims}.{_sign(secret, claims)}"


def issue(
    secret: str,
    *,
    kiosk_id: str,
    branch_id: str,
    zone: str = "cross_province",
    lifetime_s: int = 24 * 3600,
    epoch: int = 0,
) -> str:
    """A token for one kiosk, from now on."""
    return seal(secret, Kiosk(kiosk_id, branch_id, zone, int(time.time()) + lifetime_s, epoch))


def verify(secret: str, token: str) -> Kiosk:
    """Who the bearer is.

    Raises:
        InvalidTokenError: not ours, altered, or out of date.
    """
    kiosk = _read(secret, token)
    if kiosk.expires < time.time():
        raise InvalidTokenError("the token is out of date; get a new one")
    return kiosk


@lru_cache(maxsize=_REMEMBERED)
def _read(secret: str, token: str) -> Kiosk:
    """What a token says, whether or not its time is over. Only what is ours is remembered: an
    error is no result."""
    claims, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(secret, claims).encode()):
        raise InvalidTokenError("the token is not one of ours")
    return Kiosk(**orjson.loads(base64url.decode(claims)))
