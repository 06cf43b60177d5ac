"""Sign and verify HTTP messages between provincial platforms and us, as pure functions.

The `x-tif-*` request headers are those of provincial platforms: paasid, timestamp, nonce and
`x-tif-signature`, which covers only the three of them. As that leaves method, path and body
unprotected, `x-tif-body-signature` covers these as well. Answers are signed in the same manner with
the request's nonce, so that an answer belongs to one request.

A province's token is derived from one secret, so that 31 provinces need one setting here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from tongban_provinces.errors import ProvincesError

PAASID = "tongban"
"""Our own id at the platforms."""

WINDOW_SECONDS = 300
"""Largest difference of a timestamp from the reader's wall clock, in either direction."""

NONCE_LENGTH = range(8, 65)
"""Allowed lengths of a nonce, in characters; the characters are visible ASCII."""

H_PAASID = "x-tif-paasid"
H_TIMESTAMP = "x-tif-timestamp"
H_NONCE = "x-tif-nonce"
H_SIGNATURE = "x-tif-signature"
H_BODY_SIGNATURE = "x-tif-body-signature"


class SignatureError(ProvincesError):
    """The signature of a message does not hold. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stamp:
    """Timestamp (Unix seconds) and nonce of a verified message.

    The reader still has to refuse a nonce that it saw within the window.
    """

    timestamp: int
    nonce: str


def province_token(secret: str, province: str) -> str:
    """Derive the token (64 hex digits) that a province and we share; it is never transmitted."""
    return hmac.new(secret.encode(), province.encode(), hashlib.sha256).hexdigest()


def sign_request(
    token: str,
    *,
    method: str,
    target: str,
    body: bytes,
    timestamp: int,
    nonce: str,
    paasid: str = PAASID,
) -> dict[str, str]:
    """Return the headers that sign a request.

    Args:
        target: the path as it is sent, with the query if there is one.
        timestamp: wall clock, Unix seconds.
        nonce: must not have been used before.
        paasid: the caller's id; a province that calls back uses its code.
    """
    stamp = str(timestamp)
    return {
        H_PAASID: paasid,
        H_TIMESTAMP: stamp,
        H_NONCE: nonce,
        H_SIGNATURE: _platform_signature(token, stamp, nonce),
        H_BODY_SIGNATURE: _body_signature(token, stamp, nonce, f"{method.upper()}\n{target}", body),
    }


def verify_request(
    token: str,
    headers: Mapping[str, str],
    *,
    method: str,
    target: str,
    body: bytes,
    now: float,
    paasid: str = PAASID,
) -> Stamp:
    """Check the headers of a request (a case-insensitive mapping) against what was received.

    Raises:
        SignatureError: `missing_header`, `unknown_paasid`, `stale` (outside the window) or
            `bad_signature`.
    """
    stamp = verify_head(token, headers, now=now, paasid=paasid)
    timestamp = str(stamp.timestamp)
    subject = f"{method.upper()}\n{target}"
    _must_match(
        headers, H_BODY_SIGNATURE, _body_signature(token, timestamp, stamp.nonce, subject, body)
    )
    return stamp


def verify_head(
    token: str, headers: Mapping[str, str], *, now: float, paasid: str = PAASID
) -> Stamp:
    """Check the headers of a request before its body is read.

    This does not cover method, path and body: an attacker who recorded the headers can send them
    with another body.

    Raises:
        SignatureError: as `verify_request`.
    """
    stamp = _stamp(headers, now)
    if _required(headers, H_PAASID) != paasid:
        raise SignatureError("unknown_paasid", f"{H_PAASID} is not known here")
    expected = _platform_signature(token, str(stamp.timestamp), stamp.nonce)
    _must_match(headers, H_SIGNATURE, expected)
    return stamp


def sign_response(
    token: str, *, status: int, body: bytes, timestamp: int, nonce: str
) -> dict[str, str]:
    """Return the headers that sign an answer; `nonce` is the request's."""
    stamp = str(timestamp)
    return {
        H_TIMESTAMP: stamp,
        H_NONCE: nonce,
        H_BODY_SIGNATURE: _body_signature(token, stamp, nonce, str(status), body),
    }


def verify_response(
    token: str, headers: Mapping[str, str], *, status: int, body: bytes, nonce: str, now: float
) -> None:
    """Check that an answer is the province's answer to the request with this nonce.

    Raises:
        SignatureError: `missing_header`, `stale`, `wrong_nonce` (an answer to another request) or
            `bad_signature`. Such an answer proves nothing about what the province did.
    """
    stamp = _stamp(headers, now)
    if stamp.nonce != nonce:
        raise SignatureError("wrong_nonce", f"{H_NONCE} is not that of the request")
    expected = _body_signature(token, str(stamp.timestamp), nonce, str(status), body)
    _must_match(headers, H_BODY_SIGNATURE, expected)


def _platform_signature(token: str, timestamp: str, nonce: str) -> str:
    text = f"{timestamp}{token}{nonce}{timestamp}"
    return hashlib.sha256(text.encode()).hexdigest().upper()


def _body_signature(token: str, timestamp: str, nonce: str, subject: str, body: bytes) -> str:
    text = f"{timestamp}\n{nonce}\n{subject}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise SignatureError("missing_header", f"{name} is missing")
    return value


def _stamp(headers: Mapping[str, str], now: float) -> Stamp:
    text = _required(headers, H_TIMESTAMP)
    # isdecimal alone accepts digits of other scripts, and int alone accepts signs and blanks.
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or str(int(text)) != text:
        raise SignatureError("stale", f"{H_TIMESTAMP} is not in Unix seconds")
    timestamp = int(text)
    if abs(now - timestamp) > WINDOW_SECONDS:
        raise SignatureError("stale", f"{H_TIMESTAMP} is over {WINDOW_SECONDS} s from our clock")
    nonce = _required(headers, H_NONCE)
    if len(nonce) not in NONCE_LENGTH or not all("!" <= letter <= "~" for letter in nonce):
        raise SignatureError(
            "missing_header",
            f"{H_NONCE} has {NONCE_LENGTH.start} to {NONCE_LENGTH.stop - 1} visible characters",
        )
    return Stamp(timestamp, nonce)


def _must_match(headers: Mapping[str, str], name: str, expected: str) -> None:
    received = _required(headers, name).encode(errors="surrogateescape")
    if not hmac.compare_digest(received, expected.encode()):
        raise SignatureError("bad_signature", f"{name} does not match")
