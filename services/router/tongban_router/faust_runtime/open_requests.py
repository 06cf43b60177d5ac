"""Measure the open requests of the table, and how finished requests ended.

The measurements follow the table in memory: a scrape must not read RocksDB. All ages are business
time, which is wall time unless TONGBAN_CLOCK sets another clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge, Histogram

from tongban_common import topics
from tongban_common.domain.status import FINAL, Status
from tongban_router.domain.state import RequestState, waited_for
from tongban_router.domain.transition import Decision

_OPEN = [status for status in Status if status not in FINAL]
OPEN = Gauge("tongban_router_open_requests", "Requests that have not ended, by status", ["status"])
OLDEST = Gauge(
    "tongban_router_oldest_open_seconds",
    "Business seconds since the submission of the oldest request in a status; 0 if there is none",
    ["status"],
)
OVERDUE = Gauge(
    "tongban_router_overdue_requests",
    "Requests that are open and not held an hour of business time after their deadline",
)
FINISHED = Counter(
    "tongban_router_finished_total", "Requests that ended, by final status", ["province", "status"]
)
COMPLETED_SECONDS = Histogram(
    "tongban_router_completed_seconds",
    "Business seconds from submission at the kiosk to completion, by kind of item and by what the "
    "request had to wait for that no time limit covers: no, closed, paused, applicant",
    ["kind", "waited_for"],
    buckets=(1, 5, 10, 20, 60, 120, 300, 900, 3600, 14400, 86400, 259200, 604800, 1728000),
)
_SWEEP = timedelta(hours=1)
"""Most business time that ending a request past its deadline may take."""


class OpenRequests:
    """Keeps the status, submission and deadline of each open request. Not thread-safe."""

    def __init__(self) -> None:
        self._open: dict[bytes, tuple[Status, datetime, datetime]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def clear(self) -> None:
        """Remove all requests, before they are read again from the table."""
        self._open.clear()

    def set(self, key: bytes, state: RequestState | None) -> None:
        """Set the state of a request; None, a final state and early inputs alone remove it."""
        if state is None or state.submitted is None or state.status.final:
            self._open.pop(key, None)
        else:
            request = state.submitted
            self._open[key] = (state.status, request.submitted_at, request.deadline)

    def measure(self, now: datetime) -> None:
        """Set the gauges; `now` is business time. One pass over the open requests."""
        count = dict.fromkeys(_OPEN, 0)
        oldest = dict.fromkeys(_OPEN, now)
        overdue = 0
        for status, submitted_at, deadline in self._open.values():
            count[status] += 1
            oldest[status] = min(oldest[status], submitted_at)
            overdue += status is not Status.HELD and now - deadline > _SWEEP
        for status in _OPEN:
            OPEN.labels(status).set(count[status])
            OLDEST.labels(status).set((now - oldest[status]).total_seconds())
        OVERDUE.set(overdue)


def observe(before: RequestState | None, decision: Decision) -> None:
    """Count a request that this decision has ended. A repeat of the decision is not counted, so a
    request whose end was decided just before a crash may be missing."""
    state = decision.state
    if state is None or state.submitted is None or decision.repeat or not state.status.final:
        return
    if before is not None and before.submitted is not None and before.status.final:
        return
    request = state.submitted
    FINISHED.labels(request.item.province, state.status).inc()
    if state.status is Status.COMPLETED and state.finished_at is not None:
        took = (state.finished_at - request.submitted_at).total_seconds()
        COMPLETED_SECONDS.labels(request.item.kind, waited_for(state) or "no").observe(max(0, took))


def create_series() -> None:
    """Create the series of all label values that are known in advance, so that a rate sees the
    first request of a process."""
    for province in topics.PROVINCES:
        for status in FINAL:
            FINISHED.labels(province, status)
    for kind in ("query", "handle", "print"):
        COMPLETED_SECONDS.labels(kind, "no")
