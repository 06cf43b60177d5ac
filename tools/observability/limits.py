"""Name the thresholds that dashboards and alerts share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SERVICES = ("intake", "router", "connectors", "printing", "notify")
"""The values of the label `job`: one scrape job for each service."""
PROMISED = timedelta(minutes=5)
"""The published time from the kiosk to the paper, and to the completion of a query or a print."""
OBJECTIVE = 0.99
"""Share of requests that keep it."""
OLDEST_UNSENT = timedelta(minutes=15)
"""Age at which a request that no connector has reported on yet is stuck."""
PROVINCE_LAG = 50
"""Records behind which a connector that may call its province is too slow."""
ROUTER_LAG = 5000
"""Records of all partitions; the router handles about 1,000 a second."""


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One pair of windows of a burn-rate alert: both must burn the error budget `factor` times as
    fast as the objective allows."""

    long: timedelta
    short: timedelta
    factor: float
    severity: str


BURN_WINDOWS = (
    BurnWindow(timedelta(hours=1), timedelta(minutes=5), 14.4, "page"),
    BurnWindow(timedelta(hours=6), timedelta(minutes=30), 6, "page"),
    BurnWindow(timedelta(days=1), timedelta(hours=2), 3, "ticket"),
    BurnWindow(timedelta(days=3), timedelta(hours=6), 1, "ticket"),
)
LEAST_LATE = 3
"""Late requests within the long window below which no burn rate alerts: one late request of a quiet
night is no trend, and `OldestRequestTooOld` finds it if it is stuck."""
