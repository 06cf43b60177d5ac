"""Named places at which a test kills, freezes or fails the process, to prove that it recovers.

`TONGBAN_FAULTPOINTS=connector.before_send:3,worker.after_commit` ends the process with SIGKILL at
the third passing of the first or the first passing of the second, whichever comes first. With
`@FILE` behind a name the kill happens only while that file does not exist; the process creates it
just before, so the restarted process passes. With `!` at the end a passing raises
`InjectedFaultError` instead, with `!3` that one and the next two: `router.before_table:5!3`. With
`~` at the end the process freezes (SIGSTOP) until it gets SIGCONT. Without the variable a passing
costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tongban_kafka import faultpoints as of_kafka

_VARIABLE = "TONGBAN_FAULTPOINTS"


class InjectedFaultError(Exception):
    """Raised at a place that a test chose. No code may catch it by name: it simulates an unknown
    bug."""


class _Point:
    def __init__(
        self, remaining: int, once_file: Path | None, raises: int, *, freezes: bool = False
    ) -> None:
        self.remaining = remaining
        self.once_file = once_file
        self.freezes = freezes
        self.raises = raises
        """Number of passings that raise, from the chosen one on; 0 kills at the chosen one."""

    def passes(self) -> bool:
        """Count one passing; return True if the fault is to happen at it."""
        self.remaining -= 1
        if self.remaining > 0 or self.remaining <= -max(self.raises, 1):
            return False
        if self.once_file is None:
            return True
        try:
            self.once_file.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _parse(text: str) -> dict[str, _Point]:
    points: dict[str, _Point] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        rest, bang, times = entry.removesuffix("~").partition("!")
        place, _, file = rest.partition("@")
        name, _, count = place.partition(":")
        try:
            remaining, raises = int(count or 1), int(times or 1) if bang else 0
        except ValueError as error:
            wanted = "NAME[:COUNT][@FILE][![TIMES]|~]"
            raise ValueError(f"{_VARIABLE}: {entry!r} is not {wanted}") from error
        points[name] = _Point(
            remaining, Path(file) if file else None, raises, freezes=entry.endswith("~")
        )
    return points


_points = _parse(os.environ.get(_VARIABLE, ""))


def reached(name: str) -> None:
    """Mark a place: kill or freeze the process, or raise, if the environment names it."""
    if not _points:
        return
    point = _points.get(name)
    if point is not None and point.passes():
        if point.raises:
            raise InjectedFaultError(name)
        os.kill(os.getpid(), signal.SIGSTOP if point.freezes else signal.SIGKILL)


if _points:  # tongban_kafka has places of its own, and does not know this variable
    of_kafka.on_reached(reached)
