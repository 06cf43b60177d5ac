"""Sign and verify bearer tokens, which name kiosk, branch and expiry.

Format: base64url(claims as JSON) "." base64url(HMAC-SHA256), which is JWS's compact form (RFC 7515)
without the header: there is one algorithm and nothing to negotiate.
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
"""Tokens whose verified claims are cached; a kiosk sends the same token many times."""


class InvalidTokenError(ValueError):
    """Raised for a token that is not signed by us or has expired; the text says which."""


@dataclass(frozen=True, slots=True)
class Kiosk:
    """Identifies the bearer of a token: the kiosk, and the lobby manager signed in there, if any.

    `expires` is a Unix time in seconds. The epochs are those of the enrolment records
    (`tongban_intake.access.enrolment`) at the time of issue: a record with a newer one voids the
    token.
    """

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
    """Return a signed token with these claims."""
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
    """Return a token for one kiosk, valid for `lifetime_s` seconds from now."""
    return seal(secret, Kiosk(kiosk_id, branch_id, zone, int(time.time()) + lifetime_s, epoch))


def verify(secret: str, token: str) -> Kiosk:
    """Return the claims of a token after verifying signature and expiry.

    Raises:
        InvalidTokenError: the signature is wrong, or the token has expired.
    """
    kiosk = _read(secret, token)
    if kiosk.expires < time.time():
        raise InvalidTokenError("the token is out of date; get a new one")
    return kiosk


@lru_cache(maxsize=_REMEMBERED)
def _read(secret: str, token: str) -> Kiosk:
    """Return the claims of a token, expired or not. The cache holds valid tokens only: `lru_cache`
    keeps no exceptions."""
    claims, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(secret, claims).encode()):
        raise InvalidTokenError("the token is not one of ours")
    return Kiosk(**orjson.loads(base64url.decode(claims)))
