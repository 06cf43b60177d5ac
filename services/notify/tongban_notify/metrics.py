"""Prometheus metrics of the notification service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter(
    "tongban_notify_messages_total",
    "Attempts by outcome: sent, found, refused, not_sent, unclear, stranded",
    ["provider", "outcome"],
)
SECONDS = Histogram(
    "tongban_notify_send_seconds",
    "Seconds of one call to a provider",
    ["provider"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PROVIDER_UP = Gauge(
    "tongban_notify_provider_up", "1 if the circuit is closed, 0 if it is open", ["provider"]
)
PROVIDER_SHARE = Gauge(
    "tongban_notify_provider_share",
    "Share of the messages that a provider gets where its turn is; below 1 after too many failures",
    ["provider"],
)
WAITING = Gauge(
    "tongban_notify_waiting_messages",
    "Messages that are tried again later, by reason: quiet, provider, unclear, store, optouts, "
    "overtaken",
    ["reason"],
)
STRANDED = Gauge(
    "tongban_notify_stranded_messages",
    "Messages that a provider which is no longer configured may have",
    ["provider"],
)
