"""Choose the clock by which a timer event is decided: the broker's (ADR 0017).

A timer event closes requests past their deadline, which withdraws them at their provinces, and
deletes finished ones. A router whose clock jumps ten days ahead for a second must do neither. So
the broker stamps `router.timers` (LogAppendTime), and its stamp is the time of the decision. If it
differs from the router's clock by minutes the event is refused; it will be announced again.
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
"""Most wall seconds between the clocks of the broker and of the announcing or deciding router."""
_REFUSED = Counter(
    "tongban_router_clock_refused_total", "Timer events refused because clocks differ by minutes"
)


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
