"""Issue and verify bearer tokens: JWTs (RFC 7519), signed with HS256, that name the kiosk.

Intake alone issues and verifies them, so a shared secret fits. To everybody else they are opaque.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache

import jwt
from pydantic import TypeAdapter

from tongban_intake.errors import IntakeError

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "tongban-intake"
_PURPOSE = b"tongban access token"
_REQUIRED = ["iss", "aud", "sub", "exp"]
_LONGEST = 2048
"""Characters; a token of ours has about 500."""
_REMEMBERED = 8192
"""Tokens whose verified claims are cached; a kiosk sends the same token many times."""


Secrets = str | tuple[str, ...]
"""The deployment's secret; or several, all of which verify: while secrets are rotated, replicas of
intake sign with different ones."""


class InvalidTokenError(IntakeError, ValueError):
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


_KIOSK = TypeAdapter(Kiosk)


@lru_cache(maxsize=8)
def signing_key(secret: str) -> bytes:
    """Derive the key of tokens from the deployment's secret: what is signed for another purpose
    under the same secret is never a token."""
    return hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)


def seal(secret: str, kiosk: Kiosk) -> str:
    """Return a signed token with these claims."""
    claims = asdict(kiosk)
    claims |= {"iss": ISSUER, "aud": AUDIENCE}
    claims |= {"sub": claims.pop("kiosk_id"), "exp": claims.pop("expires")}
    return jwt.encode(claims, signing_key(secret), algorithm=ALGORITHM)


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


def verify(secrets: Secrets, token: str, *, now: Callable[[], float] = time.time) -> Kiosk:
    """Return the claims of a token after verifying signature, issuer, audience and expiry.

    The expiry has no leeway: a lobby manager's sign-in must not outlast it.

    Raises:
        InvalidTokenError: the token is not one of ours, or has expired.
    """
    kiosk = _read((secrets,) if isinstance(secrets, str) else secrets, token)
    if kiosk.expires < now():
        raise InvalidTokenError("the token is out of date; get a new one")
    return kiosk


@lru_cache(maxsize=_REMEMBERED)
def _read(secrets: tuple[str, ...], token: str) -> Kiosk:
    """Return the claims of a token, expired or not. The cache holds valid tokens only: `lru_cache`
    keeps no exceptions. Expiry and revocation are checked at each call, outside of the cache."""
    # Refuse padding, which PyJWT accepts: each token has one spelling only.
    if len(token) > _LONGEST or "=" in token:
        raise InvalidTokenError("the token is not one of ours")
    for secret in secrets[:-1]:
        try:
            return _claims(secret, token)
        except InvalidTokenError:
            continue
    return _claims(secrets[-1], token)


def _claims(secret: str, token: str) -> Kiosk:
    try:
        claims = jwt.decode(
            token,
            signing_key(secret),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": _REQUIRED, "strict_aud": True, "verify_exp": False},
        )
        return _KIOSK.validate_python(
            {**claims, "kiosk_id": claims["sub"], "expires": claims["exp"]}
        )
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise InvalidTokenError("the token is not one of ours") from error
