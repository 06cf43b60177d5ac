"""Prometheus metrics of the notification service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter(
    "tongban_notify_messages_total",
    "Attempts by what came of them: sent, found, refused, not_sent, unclear, stranded",
    ["provider", "outcome"],
)
SECONDS = Histogram(
    "tongban_notify_send_seconds",
    "One call to a provider",
    ["provider"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PROVIDER_UP = Gauge("tongban_notify_provider_up", "Whether messages go to a provider", ["provider"])
STRANDED = Gauge(
    "tongban_notify_stranded_messages",
    "Messages that may be with a provider that is not configured",
    ["provider"],
)
