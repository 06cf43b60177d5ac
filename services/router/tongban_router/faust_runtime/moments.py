"""By which clock a moment that has come is judged.

A timer event closes requests whose time is up, which withdraws them at their provinces, and forgets
finished ones. One router whose clock jumps ten days ahead for a second must do neither. So the
broker stamps `router.timers` (LogAppendTime), that stamp is the time of the decision, and where it
and the router's own clock differ by minutes nothing is decided: the event comes again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Counter

from tongban_common.clock import BusinessClock

log = structlog.get_logger()

_LOG_APPEND_TIME = 1
MOST_APART_S = 180.0
"""Wall seconds between the clock that announced a moment, or ours, and the broker's."""
_REFUSED = Counter(
    "tongban_router_clock_refused_total", "Timer events refused since clocks differ by minutes"
)


def moment_of(message: Any, announced: datetime, clock: BusinessClock) -> datetime | None:
    """Return the business time by which a timer event (Faust's message) is to be judged, or None
    where it must not be.

    `announced` is the announcing router's business time. The announcing router and the broker stamp
    the same moment, but for the time of sending, so their difference shows a wrong clock however
    late the event is read; ours may be later by that lag, and must not be earlier.
    """
    if message.timestamp_type != _LOG_APPEND_TIME or not message.timestamp:
        return clock.now()  # the topic is not as the registry wants it
    stamped = clock.at(message.timestamp)
    apart = clock.real_seconds(announced - stamped)
    behind = clock.real_seconds(stamped - clock.now())
    if abs(apart) <= MOST_APART_S and behind <= MOST_APART_S:
        return stamped
    _REFUSED.inc()
    log.critical("router.clocks_differ", announcer_ahead_s=round(apart), behind_s=round(behind))
    return None
