"""Announce the due moments of requests as events on router.timers (ADR 0004), and decide by which
clock such an event is handled: the broker's (ADR 0017).

A timer event closes requests past their deadline, which withdraws them at their provinces, and
deletes finished ones. A router whose clock jumps ten days ahead for a second must do neither. So
the broker stamps `router.timers` (LogAppendTime), and its stamp is the time of the decision. If it
differs from the router's clock by minutes the event is refused; it will be announced again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.events import Event, encode
from tongban_common.events.models import TimerDue
from tongban_router.domain.emission import SOURCE
from tongban_router.domain.state import DueIndex
from tongban_router.faust_runtime.dead_letter_writer import Emit
from tongban_router.faust_runtime.faults import FAULTS, describe_error, die
from tongban_router.faust_runtime.traces import traced

log = structlog.get_logger()
_DUE = Gauge(
    "tongban_router_due_requests", "Requests with a moment at which the timer looks at them"
)
_MOST_AT_ONCE = 500

_LOG_APPEND_TIME = 1
MOST_APART_S = 180.0
"""Most wall seconds between the clocks of the broker and of the announcing or deciding router."""
_REFUSED = Counter(
    "tongban_router_clock_refused_total", "Timer events refused because clocks differ by minutes"
)


class DueAnnouncer:
    """Sends a `TimerDue` event for each request whose moment has come."""

    def __init__(self, due: DueIndex, clock: BusinessClock, emit: Emit) -> None:
        self._due = due
        self._clock = clock
        self._emit = emit

    async def announce_due(self) -> None:
        """Announce the moments that have come. A failure is logged, since the index returns each
        moment again; memory that is exhausted ends the process."""
        try:
            await self._announce()
        except MemoryError as error:
            die("router.own_trouble", error, topics.ROUTER_TIMERS)
        except Exception as error:
            FAULTS.labels("timer").inc()
            log.error("router.timer_fault", **describe_error(error))

    async def _announce(self) -> None:
        faultpoints.reached("router.before_announce")
        now = self._clock.now()
        _DUE.set(len(self._due))
        for key, due in self._due.pop_due(now, limit=_MOST_AT_ONCE):
            request_id = key.decode()
            event = Event(
                id=derived_id("timer", request_id, due.isoformat()),
                source=SOURCE,
                body=TimerDue(request_id=request_id, due=due),
                time=now,
            )
            value, headers = encode(event)
            with traced(topics.ROUTER_TIMERS, headers, root=True):
                await self._emit(topics.ROUTER_TIMERS, key, value, headers)


def moment_of(message: Any, announced: datetime, clock: BusinessClock) -> datetime | None:
    """Return the business time at which a timer event is decided, or None if it is refused.

    The announcing router and the broker stamp the same moment, apart from the time of sending. So
    their difference shows a wrong clock however late the event is read. Our own clock may be ahead
    of both, by the lag of the topic, but not behind.

    Args:
        message: Faust's message.
        announced: the event's own time: business time of the router that announced it.
    """
    if message.timestamp_type != _LOG_APPEND_TIME or not message.timestamp:
        return clock.now()  # the topic's configuration is not that of the registry
    stamped = clock.at(message.timestamp)
    apart = clock.real_seconds(announced - stamped)
    behind = clock.real_seconds(stamped - clock.now())
    if abs(apart) <= MOST_APART_S and behind <= MOST_APART_S:
        return stamped
    _REFUSED.inc()
    log.critical("router.clocks_differ", announcer_ahead_s=round(apart), behind_s=round(behind))
    return None
