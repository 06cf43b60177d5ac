"""A monotonic clock that counts the time for which the machine was suspended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


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
