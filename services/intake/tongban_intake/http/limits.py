"""How much one kiosk may ask for, and how much all of them together."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

from starlette.requests import Request

from tongban_intake.lru_cache import LruCache
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text


class KioskRates:
    """A token bucket a kiosk. Remembers the busiest `remembered` kiosks; a forgotten one is full
    again, which it would be after `burst / rate` seconds of rest anyway."""

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        remembered: int = 20_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._monotonic = monotonic
        self._buckets: LruCache[str, tuple[float, float]] = LruCache(remembered)

    def take(self, kiosk_id: str) -> None:
        """Count one request.

        Raises:
            ProblemError: 429, with when the next one will be let through.
        """
        now = self._monotonic()
        level, at = self._buckets.get(kiosk_id) or (self._burst, now)
        level = min(self._burst, level + (now - at) * self._rate)
        allowed = level >= 1.0
        self._buckets.put(kiosk_id, (level - 1.0 if allowed else level, now))
        if not allowed:
            raise ProblemError(
                Kind.TOO_MANY, retry_after=max(1, math.ceil((1.0 - level) / self._rate))
            )


class Slots:
    """At most so many at once; the next one is told to come back instead of filling memory.
    `with slots:` holds a place, and may be entered by many at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    def __enter__(self) -> None:
        """Hold a place.

        Raises:
            ProblemError: 503, all are taken.
        """
        if self.taken >= self._size:
            raise ProblemError(
                Kind.UNAVAILABLE, Text("当前办理人数较多", "Busy: too many at once"), retry_after=1
            )
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class KioskSlots:
    """At most so many at once of each kiosk, so that one of them cannot take all `Slots`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: Counter[str] = Counter()

    @contextmanager
    def hold(self, kiosk_id: str) -> Iterator[None]:
        """Hold a place of this kiosk.

        Raises:
            ProblemError: 503, it has all of its places taken.
        """
        self.check(kiosk_id)
        self._taken[kiosk_id] += 1
        try:
            yield
        finally:
            self._taken[kiosk_id] -= 1
            if not self._taken[kiosk_id]:
                del self._taken[kiosk_id]

    def check(self, kiosk_id: str) -> None:
        """Raise Problem 503 where `hold` would."""
        if self._taken[kiosk_id] >= self._size:
            raise ProblemError(
                Kind.UNAVAILABLE,
                Text("本终端同时办理过多", "Too many at once of this kiosk"),
                retry_after=1,
            )


class AnonymousRates:
    """Bound what callers without a token may ask for: by address, and all of them together.

    An address stands for everybody behind it (a bank's branch, a proxy): the limit is generous to
    people and slow for whoever tries codes.

    Args:
        rate: questions a second from one address, sustained; `burst` at once.
        all_rate: the same of all addresses together; `all_burst` at once.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        all_rate: float,
        all_burst: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each = KioskRates(rate, burst, monotonic=monotonic)
        self._all = KioskRates(all_rate, all_burst, monotonic=monotonic)

    def take(self, request: Request) -> None:
        """Count one question.

        Raises:
            ProblemError: 429, with when the next one will be let through.
        """
        # An address that is over its own limit takes nothing from the others.
        self._each.take(caller(request))
        self._all.take("all")


def caller(request: Request) -> str:
    """Return what counts as one caller: an IPv4 address, or an IPv6 network of /64, of which one
    customer has all addresses."""
    address = request.client.host if request.client else ""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ip_network(f"{address}/64", strict=False))
