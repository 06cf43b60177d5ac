"""Limit rates and concurrency: of one kiosk, of one address, and of all together."""

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
    """Keeps a token bucket for each kiosk, or other key.

    Only the `remembered` keys that were used last have a bucket. A forgotten one is full again,
    which it would be after `burst / rate` seconds without requests anyway.

    Args:
        rate: requests a second, sustained.
        burst: requests at once.
    """

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
            ProblemError: 429, with the seconds until the next request is allowed.
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
    """Limits how many callers hold a place at once (`with slots:`). The next one is refused,
    because callers that wait would fill the memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    def __enter__(self) -> None:
        """Take a place.

        Raises:
            ProblemError: 503, all places are taken.
        """
        if self.taken >= self._size:
            raise ProblemError(
                Kind.UNAVAILABLE, Text("当前办理人数较多", "Busy: too many at once"), retry_after=1
            )
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class KioskSlots:
    """Limits how many places each kiosk holds at once, so that one kiosk cannot take all
    `Slots`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: Counter[str] = Counter()

    @contextmanager
    def hold(self, kiosk_id: str) -> Iterator[None]:
        """Hold a place of this kiosk.

        Raises:
            ProblemError: 503, the kiosk has taken all of its places.
        """
        if self._taken[kiosk_id] >= self._size:
            raise ProblemError(
                Kind.UNAVAILABLE,
                Text("本终端同时办理过多", "Too many at once of this kiosk"),
                retry_after=1,
            )
        self._taken[kiosk_id] += 1
        try:
            yield
        finally:
            self._taken[kiosk_id] -= 1
            if not self._taken[kiosk_id]:
                del self._taken[kiosk_id]


class AnonymousRates:
    """Limits requests without a token: for each address, and for all addresses together.

    A whole branch or proxy may share one address, so the limit is generous to people, yet too slow
    for a caller who tries verification codes.

    Args:
        rate: requests a second from one address, sustained; `burst` at once.
        all_rate: the same for all addresses together; `all_burst` at once.
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
        """Count one request.

        Raises:
            ProblemError: 429, with the seconds until the next request is allowed.
        """
        # Check the address first: one that is over its own limit must not use up the others' share.
        self._each.take(caller(request))
        self._all.take("all")


def caller(request: Request) -> str:
    """Return the key by which a caller is counted: the IPv4 address, or the /64 network of an IPv6
    address, because one customer has a whole /64."""
    address = request.client.host if request.client else ""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ip_network(f"{address}/64", strict=False))
