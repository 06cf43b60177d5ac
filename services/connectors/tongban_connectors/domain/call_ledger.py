"""Record, in memory, the calls under way and the sends whose effect is uncertain; decide when a
gateway's "unknown" can be believed.

Sends that may have preceded a call carry the moment after which the gateway must not act on them
(`act_before`). "Unknown" settles the matter once that moment has passed, by our clock and by the
gateway's own, where its protocol reports it. See ADR 0018.

No decision rests on anything here that outlives the assignment of the partitions: a successor
learns what it has to know from the gateway (see `Record.maybe_seen`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.domain.gateway import Unknown
from tongban_kafka import Record, uptime
from tongban_provinces.models import GatewayAnswer
from tongban_provinces.signing import WINDOW_SECONDS

MARGIN_S = 2.0
"""Seconds by which the clocks of our hosts and of a gateway may differ unnoticed. Added between our
time-out and `act_before`, and between the creation of a record and our assignment."""


class Instant(NamedTuple):
    """One moment, by both clocks of this host."""

    monotonic: float
    wall: float
    """Unix seconds."""

    @classmethod
    def now(cls) -> Instant:
        """Read both clocks."""
        return cls(uptime(), time.time())


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

    def unrecorded(self, record: Record) -> bool:
        """Return True if the call of this record may have ended here without this process knowing.

        A router that is frozen between its fencing check and its write sends a call long after its
        successor has sent the same one, and marks nothing. This process recognises the call if it
        ended here after the partition was assigned; a record that was created before that can be of
        a call that a predecessor ended. Records without a timestamp (-1) count as old.
        """
        now = Instant.now()
        # The moment of the assignment, by the wall clock as it is set now.
        assigned = now.wall - (now.monotonic - record.assigned_at)
        return record.timestamp_ms / 1000 < max(assigned, self.forgotten_until) + MARGIN_S

    def unsettled_s(
        self,
        record: Record,
        call: ProvinceCall,
        attempt: CallAttempt,
        *,
        known: GatewayAnswer | Unknown | None,
        looked_up: Instant,
        settle_s: float,
    ) -> float:
        """Return the seconds for which an earlier send may still take effect; 0 or less: it cannot.

        Args:
            known: the gateway's answer; None if no look-up was made.
            looked_up: read before the look-up was sent. A process that is frozen between the answer
                and a later reading would believe an "unknown" that was true before the earlier send
                took effect.
            settle_s: how long after its start a send may take effect.
        """
        remaining = act_before = 0.0
        doubt = self._doubts.get(call.request_id)
        if doubt is not None:
            remaining, act_before = doubt.until - looked_up.monotonic, doubt.act_before
        # A withdrawal that finds nothing has to reckon with a submission that a predecessor sent:
        # no other sign of that one would reach this process.
        orphaned = call.call is CallKind.WITHDRAW and not isinstance(known, GatewayAnswer)
        if (attempt.suspect or orphaned) and not attempt.cleared:
            # A predecessor sent before the assignment; what this process has sent since is in its
            # ledger.
            until = record.assigned_at + settle_s - looked_up.monotonic
            remaining = max(remaining, until)
            act_before = max(act_before, looked_up.wall + until)
        if act_before and known is not None and known.said_at is not None:
            remaining = max(remaining, act_before - known.said_at)
        return remaining
