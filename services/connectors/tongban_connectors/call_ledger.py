"""What a connector remembers of records that are under way, for as long as it holds them.

Nothing here that a decision rests on outlives the assignment of the partitions: what a successor
has to know, it learns from the gateway (see `Record.maybe_seen`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from tongban_kafka.uptime import uptime
from tongban_provinces.signing import WINDOW_SECONDS


@dataclass(slots=True)
class CallAttempt:
    """One call that is under way."""

    request_id: str
    suspect: bool | None = None
    """Whether it may have been sent before it came here; None: nobody has looked yet."""
    unrecorded: bool = False
    """Whether the call may have ended here without this process knowing: the gateway is asked
    first. Its answer is believed at once. Records of one request are handled in order, so whatever
    a predecessor left under way was settled when the record that it came from was handled again."""
    failures: int = 0
    """Attempts in a row that ended with nothing, the gateway being open to us."""
    broken: int = 0
    """Answers to it that could not be believed."""
    cleared: bool = False
    """That nothing sent before, by whomever, may yet take effect is known from the gateway."""
    told: str | None = None
    """The cause of waiting that the router knows."""


@dataclass(frozen=True, slots=True)
class UncertainSend:
    """A send of ours whose end we have not seen."""

    act_before: float
    """Wall clock, Unix seconds: as the gateway was told."""
    until: float
    """`uptime()` of the same moment."""


_ENDED = 4096
"""Calls that are remembered as answered or put aside: some minutes of a province's."""
DOUBTS_KEPT_S = 2.0 * WINDOW_SECONDS
"""Seconds for which a doubt outlives its call. A gateway's clock is behind ours by less than the
window of the signatures, or the gateway would have refused the message as stale."""


@dataclass(slots=True)
class CallLedger:
    """Doubts are kept by request and not by call: a withdrawal must know of the submission before
    it, even if that was given up."""

    _works: dict[str, CallAttempt] = field(default_factory=dict)
    _doubts: dict[str, UncertainSend] = field(default_factory=dict)
    _ended: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """When each call ended (Unix seconds)."""
    _assigned_at: float = 0.0
    forgotten_until: float = 0.0
    """Unix seconds: `ended` no longer knows some of the calls that ended before."""

    def work(self, call_id: str, request_id: str, assigned_at: float) -> CallAttempt:
        """The entry of a call. A new assignment begins with empty books: its records are
        `maybe_seen` where we have had them before."""
        if assigned_at != self._assigned_at:
            self._works.clear()
            self._doubts.clear()
            self._assigned_at = assigned_at
        found = self._works.get(call_id)
        if found is None:
            found = self._works[call_id] = CallAttempt(request_id)
        return found

    def doubt(self, request_id: str) -> UncertainSend | None:
        """The request's send that may have taken effect, or may yet."""
        return self._doubts.get(request_id)

    def begin_doubt(self, work: CallAttempt, doubt: UncertainSend) -> None:
        """A send begins; unless `end_doubt` is called, its effect is in doubt."""
        work.cleared = False
        self._doubts[work.request_id] = doubt

    def end_doubt(self, work: CallAttempt) -> None:
        """What became of every send is known: nothing, or what the gateway has said."""
        work.cleared = True
        self._doubts.pop(work.request_id, None)

    def cleared(self, call_id: str, request_id: str) -> bool:
        """Return True if the gateway has said that no send of this open call took effect."""
        work = self._works.get(call_id)
        return work is not None and work.cleared and request_id not in self._doubts

    def done(self, call_id: str, request_id: str) -> None:
        """The call is answered."""
        self._end(call_id)
        self._doubts.pop(request_id, None)

    def _end(self, call_id: str) -> None:
        self._works.pop(call_id, None)
        self._ended.pop(call_id, None)
        self._ended[call_id] = time.time()
        if len(self._ended) > _ENDED:
            self.forgotten_until = max(self.forgotten_until, self._ended.popitem(last=False)[1])

    def ended(self, call_id: str) -> bool:
        """Whether the call came to its end here lately. If it comes again it is a repeat, even if
        it is not marked as one: a router that was frozen and thought dead does not know of it."""
        return call_id in self._ended

    def given_up(self, call_id: str) -> None:
        """The call was put aside. Its doubt stays for the next call of the request, for as long as
        a gateway whose clock is behind may act on the send; older doubts go."""
        self._end(call_id)
        now = uptime()
        active = {work.request_id for work in self._works.values()}
        for request_id, doubt in list(self._doubts.items()):
            if doubt.until + DOUBTS_KEPT_S < now and request_id not in active:
                del self._doubts[request_id]

    def __len__(self) -> int:
        return len(self._works) + len(self._doubts)
