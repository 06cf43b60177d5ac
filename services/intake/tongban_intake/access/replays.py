"""Assertions that this replica has seen: each is good for one token."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from tongban_common.enrolment.assertion import LEEWAY, LONGEST_LIFE
from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text

_REMEMBERED_S = LONGEST_LIFE + 2 * LEEWAY
"""After which no assertion that was ever valid still is, whatever the kiosk's clock says."""


class Replays:
    """Remembers every assertion for as long as it could be valid, and forgets none before: when the
    memory is full new ones are refused instead."""

    def __init__(
        self, size: int = 100_000, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._monotonic = monotonic
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def first(self, kiosk_id: str, jti: str) -> bool:
        """Whether this one has not come before; it has from now on.

        Raises:
            Problem: 503, too many in a short time.
        """
        now = self._monotonic()
        while self._seen and next(iter(self._seen.values())) < now:
            self._seen.popitem(last=False)
        if (kiosk_id, jti) in self._seen:
            return False
        if len(self._seen) >= self._size:
            raise Problem(
                Kind.UNAVAILABLE, Text("登录请求过多", "Too many sign in at once"), retry_after=5
            )
        self._seen[kiosk_id, jti] = now + _REMEMBERED_S
        return True
