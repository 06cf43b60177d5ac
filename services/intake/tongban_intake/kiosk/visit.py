"""One person's visit at a kiosk: from the home page to the home page.

The visit decides on the server what a page may show. Its id is part of every form's proof, and it
names the requests that were handed in, or proved to be the person's own, during the visit. The next
person begins at home with another visit: neither the browser's way back nor an address that is
typed in shows what the one before has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass, replace

_MOST_REQUESTS = 20
"""Of one visit, the newest: a cookie has room for 4,096 bytes."""
_SEPARATOR = "."


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit. `requests` are the ids that it may see."""

    visit_id: str
    requests: tuple[str, ...] = ()

    @classmethod
    def new(cls) -> Visit:
        """A visit that has seen nothing."""
        return cls(uuid.uuid4().hex)

    def seeing(self, request_id: str) -> Visit:
        """Return the visit with one more request that it may see."""
        others = tuple(each for each in self.requests if each != request_id)
        return replace(self, requests=(*others, request_id)[-_MOST_REQUESTS:])


class VisitCookie:
    """Write visits as signed text that a browser keeps, and read them back.

    Args:
        secret: signs; the text is bound to the kiosk as well.
        seconds: after which, without use, a visit is over whatever the browser keeps.
    """

    def __init__(self, secret: bytes, *, seconds: int) -> None:
        self._secret = secret
        self._seconds = seconds

    def write(self, visit: Visit, kiosk_id: str, *, now: float) -> str:
        """Return the text; `now` is the Unix time, in seconds, of its last use."""
        text = _SEPARATOR.join([str(int(now)), visit.visit_id, *visit.requests])
        return f"{self._signature(text, kiosk_id)}{_SEPARATOR}{text}"

    def read(self, cookie: str, kiosk_id: str, *, now: float) -> Visit | None:
        """Return the visit; None for a text that is not ours, of another kiosk, or too old."""
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
