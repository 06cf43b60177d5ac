"""Clocks: the business clock, and the one that leases and deadlines between processes go by.

The business clock is the time that opening hours, quiet hours and deadlines of requests go by.

It can start elsewhere and run faster than the wall clock, so that a week of waiting for a province
becomes a test of minutes. Transport time-outs, signatures and leases never use it: they are about
machines, not about people; they use `uptime`, and `wall_gap` where being wrong would harm.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
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


def _uptime_of(platform: str) -> Callable[[], float]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None and platform == "darwin":
        # Goes on while the machine sleeps, unlike the clock behind `time.monotonic` there.
        clock = getattr(time, "CLOCK_MONOTONIC", None)
    if clock is None:
        return time.monotonic
    return lambda: time.clock_gettime(clock)


uptime: Callable[[], float] = _uptime_of(sys.platform)
"""Monotonic seconds that count the time for which the machine was suspended, which Linux's
`time.monotonic` does not. `time.monotonic` where the platform has no such clock. Only differences
mean anything, and only between values of this function in this boot of the machine."""
WALL_JUMP = 1.0
"""Seconds by which the wall clock may gain on `uptime` before the machine counts as having stood
still: a virtual machine that was paused or restored wakes with all of its clocks where they were,
until the wall clock is set right. NTP slews by 0.5 ms a second at most."""


def wall_gap() -> float:
    """Return by how many seconds the wall clock is ahead of `uptime`. It grows by more than
    `WALL_JUMP` where the machine stood still without knowing it (or the clock was set)."""
    return time.time() - uptime()
