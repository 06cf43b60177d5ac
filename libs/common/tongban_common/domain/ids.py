"""Identifiers that are derived and not drawn, so that a repeat is recognised wherever it turns up.

A request id says by itself that intake issued it and to which branch: any replica can tell without
asking the store (promise 1), and nobody else can make one up.

    body   10 bytes  MAC(secret, "request", kiosk, key)       which submission this is
    issued  4 bytes  MAC(secret, "issued", body)              that we issued it
    branch  4 bytes  MAC(secret, "branch", body, branch)      to which branch

written as 29 characters of Crockford's base32 in lower case after `r-`. Changing the secret makes
known ids unknown, so it is kept as long as requests are. The MAC is BLAKE2b with its key (RFC 7693,
2.9), one purpose told from another by its personalization: it is made for this, and takes a third
of the time of HMAC-SHA256, of which every submission needs five.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from enum import Enum
from functools import lru_cache
from hmac import compare_digest

_BODY, _TAG = 10, 4
_BYTES = _BODY + 2 * _TAG
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
"""Ten bits as they are written."""
_SPARE, _PLACES = 6, range(140, -1, -10)
"""Bits that fifteen pairs have beyond those of the id, and where each pair stands."""
_FROM_CROCKFORD = str.maketrans(_CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
"""To the digits that `int` reads."""
REQUEST_ID = re.compile(r"r-[0-9a-hjkmnp-tv-z]{29}")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{8,128}")
"""8 to 128 visible ASCII characters."""
_NAMESPACE = uuid.UUID("6f1f6a3e-5d0c-5c55-9a44-52f2b0f3c7a1").bytes
_UUID_FIXED = 0xF000 << 64 | 0xC000 << 48
_UUID_FIVE = 0x5000 << 64 | 0x8000 << 48
"""Version 5 and the variant of RFC 9562, and the bits where they stand."""


class Issued(Enum):
    """What an id says about itself."""

    HERE = "issued to this branch"
    ELSEWHERE = "issued to another branch"
    NEVER = "never issued"


@lru_cache(maxsize=64)
def _keyed(secret: str, purpose: bytes, size: int) -> hashlib.blake2b:
    """What is copied for each digest: taking the key in takes as long as the digest itself."""
    key = secret.encode()
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(digest_size=size, key=key, person=purpose)


def _mac(secret: str, size: int, purpose: bytes, *parts: bytes) -> bytes:
    digest = _keyed(secret, purpose, size).copy()
    for part in parts:
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def request_id(secret: str, *, kiosk_id: str, branch_id: str, key: str) -> str:
    """The id of the request that this kiosk submits under this Idempotency-Key."""
    body = _mac(secret, _BODY, b"request", kiosk_id.encode(), key.encode())
    issued = _mac(secret, _TAG, b"issued", body)
    branch = _mac(secret, _TAG, b"branch", body, branch_id.encode())
    bits = int.from_bytes(body + issued + branch, "big") << _SPARE
    return "r-" + "".join([_PAIRS[bits >> place & 1023] for place in _PLACES])[:-1]


def issued(secret: str, request: str, *, branch_id: str) -> Issued:
    """Whether intake issued this id, and whether to this branch. Never raises."""
    if not REQUEST_ID.fullmatch(request):
        return Issued.NEVER
    bits = int(request[2:].translate(_FROM_CROCKFORD), 32)
    if bits & 1:  # 145 bits hold 144: one way of writing an id only
        return Issued.NEVER
    raw = (bits >> 1).to_bytes(_BYTES, "big")
    body, tag, branch = raw[:_BODY], raw[_BODY : _BODY + _TAG], raw[_BODY + _TAG :]
    if not compare_digest(tag, _mac(secret, _TAG, b"issued", body)):
        return Issued.NEVER
    here = _mac(secret, _TAG, b"branch", body, branch_id.encode())
    return Issued.HERE if compare_digest(branch, here) else Issued.ELSEWHERE


def derived_id(*parts: str | int) -> str:
    """A UUID (RFC 9562, version 5) that is the same whenever it is made of the same parts."""
    name = "\x1f".join(map(str, parts)).encode()
    # As `uuid.uuid5`, which spends five times as long on it.
    drawn = hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16]
    number = int.from_bytes(drawn, "big") & ~_UUID_FIXED | _UUID_FIVE
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def body_digest(secret: str, canonical: bytes) -> str:
    """A keyed digest of a request's body: equal for equal bodies, useless for guessing one."""
    return _mac(secret, 16, b"body", canonical).hex()


def pseudonym(secret: str, *, kind: str, number: str) -> str:
    """A stable keyed stand-in for an applicant, for analysts: joins without naming anyone."""
    return _mac(secret, 12, b"pseudonym", kind.encode(), number.encode()).hex()
