"""Limit how often a library's repeated log records are written."""

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
    """Passes one record of each line of a library's code, and then none of that line for a while.

    While a broker is down every client logs it several times a second: the 31 clients of the
    connectors wrote half a megabyte a second, and hid the lines that mattered. The next record of
    that line carries the number of suppressed ones. Records of other libraries pass.
    """

    def __init__(
        self, library: str, *, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(library)
        self._every_s = every_s
        self._clock = clock
        self._said: dict[tuple[str, int, int], _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be written."""
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
