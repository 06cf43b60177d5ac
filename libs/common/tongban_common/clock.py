"""The business clock, which measures opening hours, quiet hours and deadlines of requests.

It can start at another time and run faster than the wall clock, so that a test waits minutes for a
week of a province. Transport time-outs, signatures and leases never use it: they concern machines
and use `tongban_kafka.uptime`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China keeps one time zone and no daylight saving (GB/T 7408); a fixed offset is exact."""


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """Business time as a linear function of wall time: `start` at wall second `anchor`, then
    `speed` seconds for each second."""

    start: datetime
    anchor: float
    speed: float = 1.0

    @classmethod
    def real(cls) -> BusinessClock:
        """Return the wall clock in China's time zone."""
        now = time.time()
        return cls(datetime.fromtimestamp(now, CHINA), now)

    @classmethod
    def parse(cls, text: str | None, *, anchor: float | None = None) -> BusinessClock:
        """Read `2026-03-02T09:00:00+08:00@60` (start and speed) or, for a stack of several
        processes, `...@60@1767225600.0`: the wall second at which `start` was.

        Without the anchor the clock starts with the process, so processes that have to agree need
        one (`describe` writes it). None or an empty text is real time.

        Raises:
            ValueError: the text has another form; the message names the right one.
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
        """Return the text from which another process makes the same clock, to the microsecond."""
        return f"{self.start.isoformat()}@{self.speed!r}@{self.anchor!r}"

    def now(self) -> datetime:
        """Return the business time now, in China's time zone."""
        return self.at(time.time())

    def at(self, wall: float) -> datetime:
        """Return the business time at a wall second (Unix time)."""
        return self.start + timedelta(seconds=(wall - self.anchor) * self.speed)

    def real_seconds(self, business: timedelta) -> float:
        """Return the wall seconds of a span of business time, for `asyncio.sleep`."""
        return business.total_seconds() / self.speed
