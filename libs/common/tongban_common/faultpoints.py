"""Named places where a test may kill the process, to prove that dying there does no harm.

`TONGBAN_FAULTPOINTS=connector.before_send:3,worker.after_commit` ends the process with SIGKILL at
the third passing of the first or the first passing of the second, whichever comes first. A place
may also be followed by `@FILE`: the kill then happens once in the life of that file, which is
created just before, so that the restarted process passes. With `!` at its end a passing raises
`InjectedFaultError` instead of killing, `!3` this one and the next two: `router.before_table:5!3`.
With `~` at its end the process is frozen (SIGSTOP) and goes on from there when it gets SIGCONT.
Without the variable a passing costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tongban_kafka import faultpoints as of_kafka

_VARIABLE = "TONGBAN_FAULTPOINTS"


class InjectedFaultError(Exception):
    """Raised where a test asked for it. No code may know it: it stands for what nobody expects."""


class _Point:
    def __init__(
        self, remaining: int, once_file: Path | None, raises: int, *, freezes: bool = False
    ) -> None:
        self.remaining = remaining
        self.once_file = once_file
        self.freezes = freezes
        self.raises = raises
        """In how many passings from the one that is meant; 0 kills there."""

    def passes(self) -> bool:
        """Count one passing; True when it is one that is meant."""
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
    """Mark a place; dies by SIGKILL here, raises or freezes, if the environment says so."""
    if not _points:
        return
    point = _points.get(name)
    if point is not None and point.passes():
        if point.raises:
            raise InjectedFaultError(name)
        os.kill(os.getpid(), signal.SIGSTOP if point.freezes else signal.SIGKILL)


if _points:  # the worker's own places are passed in a package that does not know this variable
    of_kafka.on_reached(reached)
