"""Separate the visits of one person and the next at a kiosk; each begins at the home page.

The server decides by the visit what a page may show. Its id is part of every form's proof, and it
lists the requests that were submitted, or proved to be the person's own, during the visit. The next
person starts at home with another visit, so that neither the browser's back button nor a typed URL
shows what the person before has seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from tongban_intake.access.signed_values import SignedValues

_MOST_REQUESTS = 20
"""Most requests of one visit, the newest ones: a cookie has room for 4,096 bytes."""


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
        seconds: without use, after which a cookie is invalid.
        now: returns the Unix time in seconds.
    """

    def __init__(
        self, secret: str | tuple[str, ...], *, seconds: int, now: Callable[[], float]
    ) -> None:
        self._signed = SignedValues(secret, "visit", seconds=seconds, now=now)

    def write(self, visit: Visit, kiosk_id: str) -> str:
        """Return the cookie of a visit that is in use now."""
        return self._signed.write([kiosk_id, visit.visit_id, visit.requests])

    def read(self, cookie: str, kiosk_id: str) -> Visit | None:
        """Return the visit; None if the signature is wrong, or for another kiosk, or the cookie
        expired."""
        match self._signed.read(cookie):
            case [bound_to, visit_id, requests] if bound_to == kiosk_id:
                return Visit(visit_id, tuple(requests))
        return None
