"""Sign and verify the assertions of kiosks: JWTs signed with their keys (RFC 7523), EdDSA only."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tongban_intake.access.enrolment.keyfiles import public_key, public_x, thumbprint
from tongban_intake.access.enrolment.kiosks import KioskRecord
from tongban_intake.errors import IntakeError

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_LIFE = 300
"""Most seconds between `iat` and `exp`."""
LEEWAY = 30
"""Seconds that a kiosk's clock may differ from ours."""
_LIFE = 60
_ALGORITHM = "EdDSA"
_REQUIRED = ["iss", "sub", "aud", "iat", "exp", "jti"]
_LONGEST_JTI = 128


class InvalidAssertionError(IntakeError, ValueError):
    """Raised for an assertion that is refused; the text may be sent to the client."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """States that the holder of this kiosk's key wants a token. `iat` is a Unix time in seconds."""

    kiosk_id: str
    jti: str
    iat: int


def sign(key: Ed25519PrivateKey, *, kiosk_id: str, audience: str, life_s: int = _LIFE) -> str:
    """Return a new assertion for `audience`, the URL of intake's token endpoint."""
    now = int(time.time())
    claims = {
        "iss": kiosk_id,
        "sub": kiosk_id,
        "aud": audience,
        "iat": now,
        "exp": now + life_s,
        "jti": uuid.uuid4().hex,
    }
    headers = {"kid": thumbprint(public_x(key.public_key()))}
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers=headers)


def claimed_kiosk(token: str) -> str:
    """Return the kiosk that the assertion names as its issuer, without verifying anything.

    Raises:
        InvalidAssertionError: not a JWT, or without an issuer.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise InvalidAssertionError("not a JWT") from error
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise InvalidAssertionError("iss is missing")
    return issuer


def verify(token: str, record: KioskRecord, *, audiences: Sequence[str]) -> Assertion:
    """Verify an assertion against the record of the kiosk that it names.

    Raises:
        InvalidAssertionError: a signature with another key, expired, valid for too long, or for
            another audience.
    """
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise InvalidAssertionError("not a JWT") from error
    for key in record.keys:
        if kid not in (None, key.kid):
            continue
        try:
            claims = jwt.decode(
                token,
                public_key(key.x),
                algorithms=[_ALGORITHM],
                audience=list(audiences),
                leeway=LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidSignatureError:
            continue
        except (OverflowError, RecursionError) as error:
            raise InvalidAssertionError("a claim is no number that a clock can show") from error
        except jwt.PyJWTError as error:
            # Its texts name claims and times, never a key or a signature.
            raise InvalidAssertionError(str(error)) from error
        return _believed(claims, record)
    raise InvalidAssertionError("signed with no key of this kiosk")


def _believed(claims: dict[str, Any], record: KioskRecord) -> Assertion:
    if not claims["iss"] == claims["sub"] == record.kiosk_id:
        raise InvalidAssertionError("iss and sub are both the kiosk's id")
    iat, exp, jti = claims["iat"], claims["exp"], claims["jti"]
    if not isinstance(iat, int | float) or not isinstance(exp, int | float):
        raise InvalidAssertionError("iat and exp are numbers of seconds")
    if not 0 < exp - iat <= LONGEST_LIFE:
        raise InvalidAssertionError(f"exp is {LONGEST_LIFE} s after iat, at most")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise InvalidAssertionError(f"jti is a text of {_LONGEST_JTI} characters, at most")
    return Assertion(record.kiosk_id, jti, int(iat))
