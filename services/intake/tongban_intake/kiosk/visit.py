"""Separate the visits of one person and the next at a kiosk; each begins at the home page.

The server decides by the visit what a page may show. Its id is part of every form's proof, and it
lists the requests that were submitted, or proved to be the person's own, during the visit. The next
person starts at home with another visit, so that neither the browser's back button nor a typed URL
shows what the person before has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass, replace

_MOST_REQUESTS = 20
"""Most requests of one visit, the newest ones: a cookie has room for 4,096 bytes."""
_SEPARATOR = "."


@dataclass(frozen=True, slots=True)
class Visit:
    """Identifies a visit and the requests that it may see."""

    visit_id: str
    requests: tuple[str, ...] = ()

    @classmethod
    def new(cls) -> Visit:
        """Return a new visit that may see no request."""
        return cls(uuid.uuid4().hex)

    def seeing(self, request_id: str) -> Visit:
        """Return the visit with one more request that it may see."""
        others = tuple(each for each in self.requests if each != request_id)
        return replace(self, requests=(*others, request_id)[-_MOST_REQUESTS:])


class VisitCookie:
    """Encodes visits as signed cookies, bound to the kiosk, and decodes them.

    Args:
        secret: key of the signature.
        seconds: without use, after which a cookie is invalid.
    """

    def __init__(self, secret: bytes, *, seconds: int) -> None:
        self._secret = secret
        self._seconds = seconds

    def write(self, visit: Visit, kiosk_id: str, *, now: float) -> str:
        """Return the cookie; `now` is the Unix time, in seconds, of the last use."""
        text = _SEPARATOR.join([str(int(now)), visit.visit_id, *visit.requests])
        return f"{self._signature(text, kiosk_id)}{_SEPARATOR}{text}"

    def read(self, cookie: str, kiosk_id: str, *, now: float) -> Visit | None:
        """Return the visit; None if the signature is wrong, or for another kiosk, or the cookie
        expired."""
        signature, _, text = cookie.partition(_SEPARATOR)
        if not hmac.compare_digest(signature.encode(), self._signature(text, kiosk_id).encode()):
            return None
        used, visit_id, *requests = text.split(_SEPARATOR)
        if int(used) + self._seconds <= now:
            return None
        return Visit(visit_id, tuple(requests))

    def _signature(self, text: str, kiosk_id: str) -> str:
        message = f"visit\x1f{kiosk_id}\x1f{text}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
