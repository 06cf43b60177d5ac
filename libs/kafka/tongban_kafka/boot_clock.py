"""Provides a monotonic clock that counts the time for which the machine was suspended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def _uptime_of(platform: str) -> Callable[[], float]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None and platform == "darwin":
        # It advances while the machine sleeps, unlike the clock behind `time.monotonic` there.
        clock = getattr(time, "CLOCK_MONOTONIC", None)
    if clock is None:
        return time.monotonic
    return lambda: time.clock_gettime(clock)


uptime: Callable[[], float] = _uptime_of(sys.platform)
"""Return monotonic seconds, including the time for which the machine was suspended, which Linux's
`time.monotonic` leaves out. It is `time.monotonic` where the platform has no such clock. Only
differences between values of the same boot of the machine have a meaning."""
WALL_JUMP = 1.0
"""Seconds that the wall clock may gain on `uptime` before the machine counts as having been paused.
A virtual machine that was paused or restored resumes with all clocks where they were, until the
wall clock is corrected. NTP slews by at most 0.5 ms per second."""


def wall_gap() -> float:
    """Return by how many seconds the wall clock is ahead of `uptime`. The gap grows by more than
    `WALL_JUMP` if the machine was paused from outside, or the clock was set."""
    return time.time() - uptime()
