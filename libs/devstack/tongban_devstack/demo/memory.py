"""Measure the memory of the whole stack."""

from __future__ import annotations

import time

import psutil

from tongban_devstack.stack import Stack

_EVERY_S = 2.0


class Memory:
    """Sample all processes of a stack, including those of the embedded servers.

    Uses proportional set size where the kernel reports it (Linux), so that pages shared by
    processes count once; elsewhere resident set size.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._next = 0.0
        self.peak_mb = 0
        """Highest sample, in MiB."""

    def look(self) -> None:
        """Take a sample, unless the last one is less than two seconds old."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _EVERY_S
        pids = [self._stack.supervisor.pid(name) for name in self._stack.supervisor.names]
        self.peak_mb = max(self.peak_mb, sum(map(_bytes, pids)) // 2**20)


def _bytes(pid: int) -> int:
    """Return the memory of a process and its children; 0 for one that has just died."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            info = each.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:
        pass
    return total
