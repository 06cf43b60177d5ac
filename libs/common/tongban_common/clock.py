"""The business clock: the time that opening hours, quiet hours and deadlines of requests go by.

It can start elsewhere and run faster than the wall clock, so that a week of waiting for a province
becomes a test of minutes. Transport time-outs, signatures and leases never use it: they are about
machines, not about people; they use `tongban_kafka.uptime`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China keeps one time zone and no daylight saving (GB/T 7408); a fixed offset is exact."""


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """Business time as a line over wall time: `start` at wall second `anchor`, then by `speed`."""

    start: datetime
    anchor: float
    speed: float = 1.0

    @classmethod
    def real(cls) -> BusinessClock:
        """The wall clock in China's time zone."""
        now = time.time()
        return cls(datetime.fromtimestamp(now, CHINA), now)

    @classmethod
    def parse(cls, text: str | None, *, anchor: float | None = None) -> BusinessClock:
        """Read `2026-03-02T09:00:00+08:00@60` (start and speed) or, for a stack of several
        processes, `...@60@1767225600.0`: the wall second at which `start` was.

        Without the anchor the clock starts when the process does, so processes that have to agree
        must be given one (`describe` writes it). None or an empty text is real time.

        Raises:
            ValueError: the text is not of that form; the message says what is.
        """
        if not text:
            return cls.real()
        wanted = "TONGBAN_CLOCK looks like 2026-03-02T09:00:00+08:00@60 (start with offset, speed)"
        parts = text.split("@")
        if len(parts) > 3:
            raise ValueError(f"{wanted}, not {text!r}")
        try:
            start = datetime.fromisoformat(parts[0])
            speed = float(parts[1]) if len(parts) > 1 else 1.0
            given = float(parts[2]) if len(parts) > 2 else anchor
        except ValueError as error:
            raise ValueError(f"{wanted}, not {text!r}") from error
        if start.tzinfo is None or speed <= 0:
            raise ValueError(f"{wanted}, not {text!r}")
        return cls(start.astimezone(CHINA), time.time() if given is None else given, speed)

    def describe(self) -> str:
        """The text that makes another process agree with this clock to the microsecond."""
        return f"{self.start.isoformat()}@{self.speed!r}@{self.anchor!r}"

    def now(self) -> datetime:
        """Business time, aware, in China's time zone."""
        return self.at(time.time())

    def at(self, wall: float) -> datetime:
        """Business time at a wall second (Unix time)."""
        return self.start + timedelta(seconds=(wall - self.anchor) * self.speed)

    def real_seconds(self, business: timedelta) -> float:
        """Wall seconds that a span of business time takes; what to hand to `asyncio.sleep`."""
        return business.total_seconds() / self.speed
