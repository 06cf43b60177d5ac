"""Sign what the kiosk's pages carry (cookies, proofs of forms) with itsdangerous, each purpose for
itself and for a limited time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

_LEEWAY_S = 30
"""Seconds by which a value may be signed in the future: the clocks of replicas differ."""
_LONGEST = 4096
"""Characters of a value; browsers keep no longer cookie."""


class SignedValues:
    """Signs values of JSON for one purpose, and reads them while they are young enough.

    The key is derived from secret and purpose, so that a value of one purpose is invalid for every
    other.

    Args:
        secret: or several, of which the first signs and all verify.
        seconds: age from which on a value is invalid.
        now: returns the Unix time in seconds, for signing and for reading alike. itsdangerous
            would ask the system's clock.
    """

    def __init__(
        self,
        secret: str | tuple[str, ...],
        purpose: str,
        *,
        seconds: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(now())

        self._seconds = seconds
        self._now = now
        secrets = (secret,) if isinstance(secret, str) else secret
        self._serializer = URLSafeTimedSerializer(
            secrets[::-1],  # itsdangerous signs with the last
            salt=f"tongban {purpose}",
            signer=Signer,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def write(self, value: Any) -> str:
        """Return the signed value, in characters that cookies and forms carry unchanged."""
        written: str = self._serializer.dumps(value)
        return written

    def read(self, text: str) -> Any:
        """Return the value; None if it is altered, of another purpose, or too old."""
        if len(text) > _LONGEST:
            return None
        try:
            value, signed_at = self._serializer.loads(text, return_timestamp=True)
        except (BadData, ValueError):
            return None
        signed: datetime = signed_at
        age = self._now() - signed.timestamp()
        return value if -_LEEWAY_S <= age < self._seconds else None
