"""Quiet hours: the time of day, by the business clock, at which no message is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_FORM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A daily span from `begin` to `end` in China's time, over midnight if `end` is the earlier."""

    begin: time
    end: time

    @classmethod
    def parse(cls, text: str) -> QuietHours | None:
        """Read `22:00-07:00`; None for an empty text.

        Raises:
            ValueError: the text has another form.
        """
        if not text:
            return None
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"looks like 22:00-07:00, or empty for none, not {text!r}")
        hours = [int(part) for part in found.groups()]
        begin, end = time(hours[0], hours[1]), time(hours[2], hours[3])
        if begin == end:
            raise ValueError("quiet hours begin and end at two different times")
        return cls(begin, end)

    def left(self, now: datetime) -> timedelta:
        """Return the business time until they end, zero outside of them; `now` is in China's
        time."""
        at = now.timetz().replace(tzinfo=None)
        over_midnight = self.end < self.begin
        quiet = (
            (at >= self.begin or at < self.end) if over_midnight else self.begin <= at < self.end
        )
        if not quiet:
            return timedelta()
        end = datetime.combine(now.date(), self.end, now.tzinfo)
        return end - now if end > now else end + timedelta(days=1) - now
