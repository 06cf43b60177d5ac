"""Decide when a gateway's "I do not know it" can be believed.

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
from tongban_kafka import Record
from tongban_kafka.uptime import uptime
from tongban_provinces.models import GatewayAnswer

MARGIN_S = 2.0
"""Seconds by which the clocks of our hosts and of a gateway may differ unnoticed. It stands between
our time-out and `act_before`, and between the creation of a record and our assignment."""


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


def unrecorded(record: Record, books: CallLedger) -> bool:
    """Return True if the call of this record may have ended here without this process knowing.

    A router that is frozen between its fencing check and its write sends a call long after its
    successor has sent the same one, and marks nothing. This process recognises the call if it ended
    here after the partition was assigned; a record that was created before that can be of a call
    that a predecessor ended. Records without a timestamp (-1) count as old.
    """
    created = record.timestamp_ms / 1000
    return created < max(_assigned_wall(record), books.forgotten_until) + MARGIN_S


def _assigned_wall(record: Record) -> float:
    """Unix seconds of the assignment, by the wall clock of now."""
    now = Instant.now()
    return now.wall - (now.monotonic - record.assigned_at)


def unsettled_s(
    record: Record,
    call: ProvinceCall,
    work: CallAttempt,
    *,
    doubt: UncertainSend | None,
    said: GatewayAnswer | Unknown | None,
    asked: Instant,
    settle_s: float,
) -> float:
    """Return the seconds for which an earlier send may still take effect; 0 or less: it cannot.

    Args:
        doubt: of the request: the last send of this process whose end is not known.
        said: the gateway's answer, if it was asked.
        asked: read before the gateway was asked. The moment at which its answer is looked at is of
            no use: a process that is frozen in between would believe an "unknown" that was true
            before the earlier send took effect.
        settle_s: how long after its start a send may take effect.
    """
    remaining = act_before = 0.0
    if doubt is not None:
        remaining, act_before = doubt.until - asked.monotonic, doubt.act_before
    # Of what another call left behind, a withdrawal of the unknown has no other sign.
    orphaned = call.call is CallKind.WITHDRAW and not isinstance(said, GatewayAnswer)
    if (work.suspect or orphaned) and not work.cleared:
        # Whatever a predecessor sent, it sent before the assignment; what this process has sent
        # since is in its books.
        until = record.assigned_at + settle_s - asked.monotonic
        remaining = max(remaining, until)
        act_before = max(act_before, asked.wall + until)
    if act_before and said is not None and said.said_at is not None:
        remaining = max(remaining, act_before - said.said_at)
    return remaining
