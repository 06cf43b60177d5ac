"""Choose how many seconds after its start a send may take effect at the gateway (ADR 0033).

Whoever takes a killed connector's partition over must wait that long before a gateway's "unknown"
can be believed. The call's time-out and a margin are always enough; a province that answers within
milliseconds needs a fraction of that. So there are two bounds. A process that uses the short one
for its sends notes with its committed offsets how long the next owner has to wait.

The note must be true of every send that may still take effect. So it names the rest of the last
send with the long bound, here and of those who had the partition before, as long as that is longer
than the short bound; and it is withdrawn before the next send with the long bound. A process that
hands a partition over sends nothing for it any more, so its note names the rest of what had no
clear answer: mostly nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tongban_connectors.domain.call_ledger import MARGIN_S, Instant

_NOTE = re.compile(r"within-([0-9]{1,4}(?:\.[0-9]{1,3})?)")
_FEWEST = 4
"""Answers that have to be prompt before the short bound is used."""
_CALM_S, _LONGEST_CALM_S = 60.0, 3600.0
"""Seconds for which the long bound is used after a slow call. They double with each return."""


def _within(seconds: float) -> str:
    return f"within-{math.ceil(seconds * 1000) / 1000:.3f}"


def _monotonic() -> float:
    return Instant.now().monotonic


class EffectBound:
    """Holds which bound the sends of one province have. Pure but for its clock.

    Args:
        patient_s: the long bound: the call's time-out and `MARGIN_S`.
        prompt_s: the short bound. It is not used unless it is longer than `MARGIN_S`, by which a
            gateway's clock may be ahead, and shorter than `patient_s`.
        now: monotonic seconds, the clock of `Record.assigned_at`.
    """

    def __init__(
        self, *, patient_s: float, prompt_s: float, now: Callable[[], float] = _monotonic
    ) -> None:
        self._patient_s, self._prompt_s, self._now = patient_s, prompt_s, now
        self._usable = MARGIN_S < prompt_s < patient_s
        self._in_time_s = prompt_s - MARGIN_S
        self._answers: deque[float] = deque(maxlen=64)
        self._prompt = False
        self._noted = False
        """True once a note may stand at the broker that forbids sends with the long bound."""
        self._open: Counter[float] = Counter()
        """When each send ends that was begun and had no clear answer; number of sends."""
        self._withdrawing = False
        self._patient_until = 0.0
        """When the last send with the long bound has run out."""
        self._slow_until = 0.0
        self._calm_s = _CALM_S

    @property
    def prompt(self) -> bool:
        """Return True while sends have the short bound."""
        return self._prompt

    def for_send(self, started: float) -> float:
        """Return the bound in seconds of a send that starts at that moment."""
        if self._slow():
            # With the note still at the broker a send has the short bound, which is never wrong.
            self._prompt = self._prompt and self._noted
        elif self._usable and len(self._answers) >= _FEWEST:
            self._prompt = self._prompt or max(self._answers) * 2 <= self._in_time_s
        if self._prompt:
            return self._prompt_s
        self._patient_until = max(self._patient_until, started + self._patient_s)
        return self._patient_s

    def begun(self, ends: float) -> None:
        """Note that a send is begun, which may take effect until then."""
        for each in [each for each in self._open if each <= self._now()]:
            del self._open[each]
        self._open[ends] += 1

    def settled(self, ends: float) -> None:
        """Note that this send had a clear answer: it took effect, or never will."""
        self._open[ends] -= 1
        if self._open[ends] <= 0:
            del self._open[ends]

    def answered(self, seconds: float) -> None:
        """Note that the gateway answered a send after so long."""
        self._answers.append(seconds)
        if seconds > self._in_time_s:
            self.was_slow()

    def unanswered(self, seconds: float) -> None:
        """Note that a send had no clear answer after so long."""
        if seconds > self._in_time_s:
            self.was_slow()

    def was_slow(self) -> None:
        """Note that a send took longer than the short bound allows."""
        self._answers.clear()
        if not self._slow():
            self._slow_until = self._now() + self._calm_s
            self._calm_s = min(self._calm_s * 2, _LONGEST_CALM_S)

    def note(self, assigned_at: float, predecessor_note: str, handing_over: bool) -> str:
        """Return the note for a partition that was assigned at that moment; empty: the long bound.

        It is true of predecessors, too. While it names the rest of a long send it is in whole
        seconds, so that it changes once a second and not with every commit.

        Args:
            handing_over: nothing is sent any more for this partition.
        """
        before = assigned_at + self.of_predecessor(predecessor_note)
        if handing_over:
            return _within(math.ceil(max(0.0, before - self._now(), self._rest_of_open())))
        if not self._prompt or self._slow() or self._withdrawing:
            return ""
        rest_s = math.ceil(max(self._patient_until, before) - self._now())
        self._noted = True
        return _within(max(rest_s, self._prompt_s))

    def _rest_of_open(self) -> float:
        return max(self._open, default=0.0) - self._now()

    @property
    def must_withdraw(self) -> bool:
        """Return True if sends need the long bound, and a note may stand that forbids it."""
        return self._prompt and self._noted and self._slow()

    @contextmanager
    def withdrawing(self) -> Iterator[None]:
        """Give no notes within the context: the commit that withdraws them may come after the time
        of the long bound has passed, and must not tell the short one again."""
        self._withdrawing = True
        try:
            yield
        finally:
            self._withdrawing = False

    def withdrawn(self) -> None:
        """Note that the broker has empty notes for all partitions."""
        self._prompt = self._noted = False

    def of_predecessor(self, note: str) -> float:
        """Return the seconds, from the assignment on, after which no send can take effect any more
        of the one who left this note, nor of those before."""
        found = _NOTE.fullmatch(note)
        return self._patient_s if found is None else float(found[1])

    def _slow(self) -> bool:
        return self._now() < self._slow_until
