"""Read how much CPU processes have used."""

from __future__ import annotations

import psutil


def cpu_seconds(pid: int, *, children: bool = True) -> float:
    """Return the CPU seconds of a process and its children so far."""
    process = psutil.Process(pid)
    every = (process, *(process.children(recursive=True) if children else ()))
    return sum(times.user + times.system for each in every if (times := each.cpu_times()))
