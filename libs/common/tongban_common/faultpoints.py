"""Named places where a test may kill the process, to prove that dying there does no harm.

`TONGBAN_FAULTPOINTS=connector.before_send:3,worker.after_commit` ends the process with SIGKILL at
the third passing of the first or the first passing of the second, whichever comes first. A place
may also be followed by `@FILE`: the kill then happens once in the life of that file, which is
created just before, so that the restarted process passes. Without the variable a passing costs one
comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_VARIABLE = "TONGBAN_FAULTPOINTS"


class _Point:
    def __init__(self, remaining: int, once_file: Path | None) -> None:
        self.remaining = remaining
        self.once_file = once_file

    def passes(self) -> bool:
        """Count one passing; True when it is the one to die at."""
        self.remaining -= 1
        if self.remaining != 0:
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
        place, _, file = entry.partition("@")
        name, _, count = place.partition(":")
        try:
            remaining = int(count) if count else 1
        except ValueError as error:
            raise ValueError(f"{_VARIABLE}: {entry!r} is not NAME[:COUNT][@FILE]") from error
        points[name] = _Point(remaining, Path(file) if file else None)
    return points


_points = _parse(os.environ.get(_VARIABLE, ""))


def reached(name: str) -> None:
    """Mark a place; dies by SIGKILL here if the environment says so."""
    if not _points:
        return
    point = _points.get(name)
    if point is not None and point.passes():
        os.kill(os.getpid(), signal.SIGKILL)
