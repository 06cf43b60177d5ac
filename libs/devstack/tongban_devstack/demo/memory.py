"""How much memory the whole stack takes."""

from __future__ import annotations

import time

import psutil

from tongban_devstack.stack import Stack

_EVERY_S = 2.0


class Memory:
    """Samples all processes of a stack, those of the embedded servers included.

    Proportional set size where the kernel tells it (Linux), so that pages which processes share
    count once; resident set size elsewhere.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._next = 0.0
        self.peak_mb = 0
        """The most that was seen, in MiB."""

    def look(self) -> None:
        """Take a sample, unless the last is not old."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _EVERY_S
        pids = [self._stack.supervisor.pid(name) for name in self._stack.supervisor.names]
        self.peak_mb = max(self.peak_mb, sum(map(_bytes, pids)) // 2**20)


def _bytes(pid: int) -> int:
    """Of a process and its children; 0 for one that has just died."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            info = each.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:
        pass
    return total
