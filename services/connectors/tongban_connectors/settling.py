"""Decide when a gateway's "unknown" can be believed.

Sends that may have preceded a call carry the moment after which the gateway must not act on them
(`act_before`). "Unknown" settles the matter once that moment has passed, by our clock and by the
gateway's own, where its protocol reports it. See ADR 0018.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.call_ledger import CallAttempt, CallLedger, UncertainSend
from tongban_connectors.gateway import Unknown
from tongban_kafka import Record, uptime
from tongban_provinces.models import GatewayAnswer

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


def doubt_from(now: Instant, settle_s: float) -> UncertainSend:
    """Return the doubt about a send that begins at `now` and may take effect for `settle_s`."""
    return UncertainSend(now.wall + settle_s, now.monotonic + settle_s)


def unrecorded(record: Record, ledger: CallLedger) -> bool:
    """Return True if the call of this record may have ended here without this process knowing.

    A router that is frozen between its fencing check and its write sends a call long after its
    successor has sent the same one, and marks nothing. This process recognises the call if it ended
    here after the partition was assigned; a record that was created before that can be of a call
    that a predecessor ended. Records without a timestamp (-1) count as old.
    """
    created = record.timestamp_ms / 1000
    return created < max(_assigned_wall(record), ledger.forgotten_until) + MARGIN_S


def _assigned_wall(record: Record) -> float:
    """Return the moment of the assignment in Unix seconds, by the wall clock as it is set now."""
    now = Instant.now()
    return now.wall - (now.monotonic - record.assigned_at)


def unsettled_s(
    record: Record,
    call: ProvinceCall,
    attempt: CallAttempt,
    *,
    doubt: UncertainSend | None,
    known: GatewayAnswer | Unknown | None,
    looked_up: Instant,
    settle_s: float,
) -> float:
    """Return the seconds for which an earlier send may still take effect; 0 or less: it cannot.

    Args:
        doubt: the request's last send by this process whose effect is uncertain.
        known: the gateway's answer; None if no look-up was made.
        looked_up: read before the look-up was sent, since the moment at which its answer is read is
            of no use: a process that is frozen in between would believe an "unknown" that was true
            before the earlier send took effect.
        settle_s: how long after its start a send may take effect.
    """
    remaining = act_before = 0.0
    if doubt is not None:
        remaining, act_before = doubt.until - looked_up.monotonic, doubt.act_before
    # A withdrawal that finds nothing has to reckon with a submission that a predecessor sent: no
    # other sign of that one would reach this process.
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
