"""Record, in memory, the calls under way and the sends whose effect is uncertain.

No decision rests on anything here that outlives the assignment of the partitions: a successor
learns what it has to know from the gateway (see `Record.maybe_seen`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from tongban_kafka import uptime
from tongban_provinces.signing import WINDOW_SECONDS


@dataclass(slots=True)
class CallAttempt:
    """State of one call under way."""

    request_id: str
    suspect: bool | None = None
    """True if the call may have been sent before this record arrived; None: not examined yet."""
    unrecorded: bool = False
    """True if the call may have ended here without this process knowing, so that the gateway is
    looked up first. The answer is believed at once: records of one request are handled in order, so
    every send that a predecessor left under way was settled when the record that it came from was
    handled again."""
    failures: int = 0
    """Attempts in a row that failed while the gate was open."""
    broken: int = 0
    """Answers to this call that could not be believed."""
    cleared: bool = False
    """True once the gateway's answer shows that no earlier send, by any process, can still take
    effect."""
    reported_cause: str | None = None
    """The cause of waiting that was last reported to the router."""


@dataclass(frozen=True, slots=True)
class UncertainSend:
    """A send of this process that may have taken effect, or still may."""

    act_before: float
    """Wall clock, Unix seconds, as it was sent to the gateway."""
    until: float
    """The same moment by `uptime()`."""


_ENDED = 4096
"""Number of ended calls that are remembered: some minutes of a province's."""
DOUBTS_KEPT_S = 2.0 * WINDOW_SECONDS
"""Seconds for which an uncertain send outlives its call. A gateway's clock is behind ours by less
than the window of the signatures, or the gateway would have refused the message as stale."""


@dataclass(slots=True)
class CallLedger:
    """Keeps attempts by call and uncertain sends by request.

    Uncertain sends are kept by request because a withdrawal must know of the submission before it,
    even if that one was given up.
    """

    _attempts: dict[str, CallAttempt] = field(default_factory=dict)
    _doubts: dict[str, UncertainSend] = field(default_factory=dict)
    _ended: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Call id -> when the call ended (Unix seconds)."""
    _assigned_at: float = 0.0
    forgotten_until: float = 0.0
    """Unix seconds. Some calls that ended before this moment are no longer in `ended`."""

    def attempt(self, call_id: str, request_id: str, assigned_at: float) -> CallAttempt:
        """Return the entry of a call, and create it if there is none.

        A new assignment of the partitions clears the ledger: its records are `maybe_seen` if this
        process has had them before.
        """
        if assigned_at != self._assigned_at:
            self._attempts.clear()
            self._doubts.clear()
            self._assigned_at = assigned_at
        found = self._attempts.get(call_id)
        if found is None:
            found = self._attempts[call_id] = CallAttempt(request_id)
        return found

    def doubt(self, request_id: str) -> UncertainSend | None:
        """Return the request's last send whose effect is uncertain."""
        return self._doubts.get(request_id)

    def begin_doubt(self, attempt: CallAttempt, doubt: UncertainSend) -> None:
        """Record that a send begins; its effect is uncertain until `end_doubt` is called."""
        attempt.cleared = False
        self._doubts[attempt.request_id] = doubt

    def end_doubt(self, attempt: CallAttempt) -> None:
        """Record that the effect of every send is known."""
        attempt.cleared = True
        self._doubts.pop(attempt.request_id, None)

    def cleared(self, call_id: str, request_id: str) -> bool:
        """Return True if the gateway has answered that no send of this open call took effect."""
        attempt = self._attempts.get(call_id)
        return attempt is not None and attempt.cleared and request_id not in self._doubts

    def done(self, call_id: str, request_id: str) -> None:
        """Record that the call's outcome was reported."""
        self._end(call_id)
        self._doubts.pop(request_id, None)

    def _end(self, call_id: str) -> None:
        self._attempts.pop(call_id, None)
        self._ended.pop(call_id, None)
        self._ended[call_id] = time.time()
        if len(self._ended) > _ENDED:
            self.forgotten_until = max(self.forgotten_until, self._ended.popitem(last=False)[1])

    def ended(self, call_id: str) -> bool:
        """Return True if the call ended here lately.

        A call that comes again after that is a repeat, even if it is not marked as one: a router
        that was frozen and replaced meanwhile does not know that its successor sent it.
        """
        return call_id in self._ended

    def given_up(self, call_id: str) -> None:
        """Record that the call went to the dead-letter topic.

        Its uncertain send stays for the next call of the request, for as long as a gateway whose
        clock is behind may act on it. Older ones without an open call are dropped.
        """
        self._end(call_id)
        now = uptime()
        active = {attempt.request_id for attempt in self._attempts.values()}
        for request_id, doubt in list(self._doubts.items()):
            if doubt.until + DOUBTS_KEPT_S < now and request_id not in active:
                del self._doubts[request_id]

    def __len__(self) -> int:
        return len(self._attempts) + len(self._doubts)
