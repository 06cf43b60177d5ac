"""Describe the alerts. Expressions contain durations as `{name}` fields, so that a test can shorten
all of them by one factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from tools.observability.limits import (
    BURN_WINDOWS,
    LEAST_LATE,
    OBJECTIVE,
    OLDEST_UNSENT,
    PROVINCE_LAG,
    ROUTER_LAG,
    SERVICES,
)
from tools.observability.promises import PROMISES

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `{1h}` and the like in `expr` are windows; `wait` is how long it must hold."""

    name: str
    expr: str
    wait: timedelta
    severity: str
    summary: str
    labels: dict[str, str] = field(default_factory=dict)


def burn_rates() -> Iterator[Alert]:
    """Yield the alerts of all promises, one for each pair of windows."""
    for promise in PROMISES:
        for window in BURN_WINDOWS:
            limit = f"{window.factor * (1 - OBJECTIVE):.3f}"
            long = f"{{{_name(window.long)}}}"
            late = (
                f"(sum(increase({promise.total}[{long}]))"
                f" - sum(increase({promise.good}[{long}]))) >= {LEAST_LATE}"
            )
            yield Alert(
                promise.alert,
                f"{promise.record}:ratio_rate{_name(window.long)} > {limit}"
                f" and {promise.record}:ratio_rate{_name(window.short)} > {limit}"
                f" and {late}",
                timedelta(minutes=2),
                window.severity,
                promise.summary,
                {"window": _name(window.long)},
            )


def _name(window: timedelta) -> str:
    seconds = int(window.total_seconds())
    for unit, size in (("d", _DAY), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def window_name(window: timedelta) -> str:
    """Return a window as Prometheus writes it, e.g. 6h."""
    return _name(window)


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


_PROVINCE_OF_GROUP = (
    'label_replace({metric}{{group=~"connectors-.*"}}, "province", "$1", "group", '
    '"connectors-(.*)")'
)
_HELD_BACK = "max by (province) (max_over_time(tongban_connector_blocked[{15m}])) > 0"
_ABSENT = " or ".join(f'absent(up{{job="{job}"}})' for job in SERVICES)
_EXPIRY = "min by (certificate) (tongban_certificate_expiry_timestamp_seconds) - time()"
_REFUSED = 'sum by (provider) (increase(tongban_notify_messages_total{outcome="refused"}[{30m}]))'
_FAULTS = (
    "sum by (job) (increase(tongban_router_faults_total[{15m}])) > 0"
    " or sum by (job) (increase(tongban_connector_faults_total[{15m}])) > 0"
    " or sum by (job) (increase(tongban_printing_faults_total[{15m}])) > 0"
)

FLOW = (
    Alert(
        "RequestsOverdue",
        "sum(tongban_router_overdue_requests) > 0",
        _minutes(10),
        "page",
        "Requests are open an hour after their deadline: the router's timer has lost them",
    ),
    Alert(
        "OldestRequestTooOld",
        'max by (status) (tongban_router_oldest_open_seconds{status=~"submitted|routed"})'
        f" > {OLDEST_UNSENT.total_seconds():.0f}",
        _minutes(2),
        "page",
        "A request was handed in long ago, and no connector has reported on it",
    ),
    Alert(
        "RequestsHeld",
        'sum(tongban_router_open_requests{status="held"}) > 0',
        _minutes(15),
        "ticket",
        "Requests are held: an operator has to resume or fail them",
    ),
    Alert(
        "DeadLetters",
        "sum by (group) (increase(tongban_worker_dead_lettered_total[{15m}])) > 0"
        ' or sum by (topic) (increase(tongban_router_events_total{result="dead_lettered"}[{15m}]))'
        " > 0",
        _minutes(0),
        "ticket",
        "Records were given up and lie on a dead-letter topic",
    ),
    Alert(
        "RecordsLost",
        "sum by (group, topic) (increase(tongban_worker_skipped_total[{15m}])"
        " + increase(tongban_worker_went_back_total[{15m}])) > 0",
        _minutes(0),
        "page",
        "A log lacks records that a worker had still to read, or ends below what it has read",
    ),
    Alert(
        "RouterStuck",
        "max(tongban_router_stalled_seconds) > 60 or max(tongban_router_lag_age_seconds) > 60",
        _minutes(1),
        "page",
        "The router makes no progress on a partition with lag, or does not know its lag",
    ),
    Alert(
        "RouterBehind",
        f"sum(tongban_router_lag_records) > {ROUTER_LAG}",
        _minutes(5),
        "ticket",
        "The router handles events more slowly than they arrive",
    ),
    Alert(
        "IntakeFailing",
        'sum(rate(tongban_intake_http_requests_total{status=~"5.."}[{10m}]))'
        " / sum(rate(tongban_intake_http_requests_total[{10m}])) > 0.02"
        ' and sum(increase(tongban_intake_http_requests_total{status=~"5.."}[{10m}])) >= 5',
        _minutes(2),
        "page",
        "Intake answers kiosks with errors of its own",
    ),
)
PROVINCES = (
    Alert(
        "ProvinceUnavailable",
        'max by (province, cause) (tongban_connector_blocked{cause=~"down|throttled"}) > 0',
        _minutes(5),
        "ticket",
        "A province's gateway is down or throttles: its circuit breaker is open",
    ),
    Alert(
        "ProvinceBehind",
        f"sum by (province) ({_PROVINCE_OF_GROUP.format(metric='tongban_worker_lag_records')})"
        f" > {PROVINCE_LAG} unless on (province) {_HELD_BACK}",
        _minutes(5),
        "page",
        "A connector is behind although nothing keeps it from calling its province",
    ),
    Alert(
        "ProvinceStalled",
        f"max by (province) ({_PROVINCE_OF_GROUP.format(metric='tongban_worker_stalled_seconds')})"
        f" > 300 unless on (province) {_HELD_BACK}",
        _minutes(2),
        "page",
        "A connector makes no progress although nothing keeps it from calling its province",
    ),
    Alert(
        "ConnectorStopped",
        "max by (province) (tongban_connector_stopped) > 0",
        _minutes(2),
        "page",
        "A flood of dead letters or an unforeseen error keeps a province's worker from working",
    ),
    Alert(
        "ProvinceUnserved",
        "count by (province) (count_over_time(tongban_connector_stopped[{6h}]))"
        " unless on (province) tongban_connector_stopped",
        _minutes(5),
        "page",
        "No process serves a province that one served within the last six hours",
    ),
)
DEVICES = (
    Alert(
        "PrinterTrouble",
        'max by (reason) (tongban_printing_waiting_orders{reason!~"queue|person|key"}) > 0',
        _minutes(10),
        "ticket",
        "Sheets wait for a printer that is offline, out of paper or broken",
    ),
    Alert(
        "PrintQuestionUnanswered",
        'max(tongban_printing_waiting_orders{reason="person"}) > 0',
        _minutes(30),
        "ticket",
        "A lobby manager has not answered whether a sheet came out",
    ),
    Alert(
        "SmsProviderDown",
        "min by (provider) (tongban_notify_provider_up) == 0",
        _minutes(5),
        "ticket",
        "An SMS provider fails: its circuit breaker is open",
    ),
    Alert(
        "SmsProviderRefuses",
        f"{_REFUSED} / sum by (provider) (increase(tongban_notify_messages_total[{{30m}}])) > 0.5"
        f" and {_REFUSED} >= 10",
        _minutes(5),
        "ticket",
        "An SMS provider answers, and refuses most messages: an account without balance, perhaps",
    ),
    Alert(
        "MessagesNotSent",
        'sum(tongban_notify_waiting_messages{reason="provider"}) > 0',
        _minutes(5),
        "page",
        "Messages wait because no SMS provider takes them",
    ),
    Alert(
        "MessagesStranded",
        "max by (provider) (tongban_notify_stranded_messages) > 0",
        _minutes(15),
        "ticket",
        "Messages may be at a provider that is no longer configured",
    ),
)
PROCESSES = (
    Alert(
        "ServiceDown",
        f"max by (job) (up) == 0 or {_ABSENT}",
        _minutes(2),
        "page",
        "No process of a service answers Prometheus",
    ),
    Alert(
        "WorkerStalled",
        'max by (group) (tongban_worker_stalled_seconds{group!~"connectors-.*|notify"}) > 120'
        ' or (max by (group) (tongban_worker_stalled_seconds{group="notify"}) > 120'
        " unless on () sum(max_over_time(tongban_notify_waiting_messages[{5m}])) > 0)",
        _minutes(2),
        "page",
        "A worker has records that it can handle, and finishes none",
    ),
    Alert(
        "KafkaUnavailable",
        "max by (job) (tongban_worker_lease_seconds) <= 0"
        " or min by (job) (tongban_producer_connected) == 0",
        _minutes(2),
        "page",
        "A service cannot reach Kafka, or is refused by it",
    ),
    Alert(
        "StoreUnavailable",
        "max by (job) (tongban_store_unavailable) > 0",
        _minutes(2),
        "page",
        "The document store does not answer a service",
    ),
    Alert(
        "UnreadableBatch",
        "max by (group) (tongban_worker_unreadable_partitions) > 0",
        _minutes(2),
        "page",
        "A partition stands still at a batch that cannot be read",
    ),
    Alert(
        "ProgramFault",
        _FAULTS,
        _minutes(0),
        "ticket",
        "A process has met a fault of its own program",
    ),
    Alert(
        "ClocksDiffer",
        "sum(increase(tongban_router_clock_refused_total[{10m}])) > 0",
        _minutes(0),
        "page",
        "The clocks of the broker and a router differ by minutes: deadlines are not acted on",
    ),
    Alert(
        "KeyRingUnusable",
        "max by (job) (tongban_keyring_unusable) > 0",
        _minutes(5),
        "page",
        "A process cannot read its key ring's file, and goes on with the keys that it has",
    ),
    Alert(
        "CertificateExpiresSoon",
        f"{_EXPIRY} < {21 * _DAY} and {_EXPIRY} >= {7 * _DAY}",
        _minutes(10),
        "ticket",
        "A certificate expires within 21 days",
    ),
    Alert(
        "CertificateExpires",
        f"{_EXPIRY} < {7 * _DAY}",
        _minutes(10),
        "page",
        "A certificate expires within 7 days, or has expired",
    ),
)
GROUPS = {"flow": FLOW, "provinces": PROVINCES, "devices": DEVICES, "processes": PROCESSES}


def all_alerts() -> list[Alert]:
    """Return every alert; those of a promise several times, with different windows."""
    return [*burn_rates(), *(alert for group in GROUPS.values() for alert in group)]
