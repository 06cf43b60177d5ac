"""What a library says over and over is written down once in a while, with how often it was said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Said:
    until: float
    kept_back: int = 0


class Repeats(logging.Filter):
    """Lets one record of each place in a library's code through, then none from there for a while.

    While a broker is away every client says so several times a second: the 31 of the connectors
    wrote half a megabyte a second between them, in which nobody finds the line that matters. The
    next record from that place says how many were kept back. Records of others are not touched.
    """

    def __init__(
        self, library: str, *, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(library)
        self._every_s = every_s
        self._clock = clock
        self._said: dict[tuple[str, int, int], _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if not super().filter(record):
            return True  # not of that library
        place = (record.pathname, record.lineno, record.levelno)
        now = self._clock()
        said = self._said.get(place)
        if said is not None and now < said.until:
            said.kept_back += 1
            return False
        if said is not None and said.kept_back:
            record.msg = f"{record.getMessage()} (and {said.kept_back} like it, not written)"
            record.args = None
        self._said[place] = _Said(now + self._every_s)
        return True
