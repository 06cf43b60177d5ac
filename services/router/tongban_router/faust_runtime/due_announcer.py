"""Announce the due moments of requests as events on router.timers (ADR 0004)."""

from __future__ import annotations

import structlog
from prometheus_client import Gauge

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.events import Event, encode
from tongban_common.events.models import TimerDue
from tongban_router.domain.due_index import DueIndex
from tongban_router.domain.emission import SOURCE
from tongban_router.faust_runtime.dead_letter_writer import Emit
from tongban_router.faust_runtime.faults import FAULTS, describe_error, die

log = structlog.get_logger()

_DUE = Gauge(
    "tongban_router_due_requests", "Requests with a moment at which the timer looks at them"
)
_MOST_AT_ONCE = 500


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
            await self._emit(topics.ROUTER_TIMERS, key, value, headers)
