"""The dashboard of the 31 provinces."""

from __future__ import annotations

from tools.observability.board_flow import RATE, quantile
from tools.observability.limits import PROVINCE_LAG
from tools.observability.model import Board, Panel, Query, Row

_LAG = (
    'sum by (province) (label_replace(tongban_worker_lag_records{group=~"connectors-.*"}, '
    '"province", "$1", "group", "connectors-(.*)"))'
)
_HELD_BACK = "max by (province) (tongban_connector_blocked) > 0"

PROVINCES = Board(
    "tongban-provinces",
    "tongban: the 31 provinces",
    "What each province takes, what waits for it and for what cause. A closed or paused province "
    "has lag on purpose.",
    [
        Row(
            "At a glance",
            [
                Panel(
                    "Provinces that are held back",
                    "By cause. closed and paused are meant; down and throttled are the gateway's "
                    "trouble: `tongban province list` shows since when.",
                    [Query("sum by (cause) (max by (province, cause) (tongban_connector_blocked))",
                           "{{cause}}")],
                    single=True,
                ),
                Panel(
                    "Stopped connectors",
                    "Provinces whose worker does not work, because of a flood of dead letters or "
                    "an unforeseen error. Not 0: see ConnectorStopped.",
                    [Query("sum(max by (province) (tongban_connector_stopped))")],
                    single=True,
                    limit=1,
                ),
                Panel(
                    "Behind without a cause",
                    "Lag of provinces that may be called. It is a connector's trouble, not a "
                    "gateway's: see ProvinceBehind.",
                    [Query(f"{_LAG} unless on (province) {_HELD_BACK}", "{{province}}")],
                    limit=PROVINCE_LAG,
                ),
            ],
        ),
        Row(
            "What waits and why",
            [
                Panel(
                    "Waiting records by cause",
                    "Over all provinces. A rise of closed in the evening and its fall in the "
                    "morning is normal.",
                    [Query("sum by (cause) (tongban_connector_waiting_records)", "{{cause}}")],
                ),
                Panel(
                    "Waiting records by province",
                    "The queue before each gate. The cause is in the next panel.",
                    [Query("sum by (province) (tongban_connector_waiting)", "{{province}}")],
                ),
                Panel(
                    "Held back, by province and cause",
                    "1 while calls with an effect are kept from the province.",
                    [
                        Query(
                            "max by (province, cause) (tongban_connector_blocked) > 0 or "
                            "max(tongban_connector_blocked)",
                            "{{province}} {{cause}}",
                        )
                    ],
                ),
                Panel(
                    "Circuit breakers",
                    "0 closed, 1 a call may probe, 2 open. One that opens again and again: read "
                    "the results of the calls, and ask the province.",
                    [Query("max by (province) (tongban_connector_circuit)", "{{province}}")],
                ),
            ],
        ),
        Row(
            "Calls",
            [
                Panel(
                    "Calls",
                    "Calls a second by province.",
                    [Query(f"sum by (province) (rate(tongban_connector_calls_total[{RATE}]))",
                           "{{province}}")],
                    unit="reqps",
                ),
                Panel(
                    "Calls by result",
                    "ok and refused are answers. Everything else leaves it open whether the "
                    "province has acted; the connector looks it up before it sends again.",
                    [Query(f"sum by (result) (rate(tongban_connector_calls_total[{RATE}]))",
                           "{{result}}")],
                    unit="reqps",
                ),
                Panel(
                    "Seconds of a call, p99",
                    "A gateway that slows down first shows here; its neighbours must not follow.",
                    [Query(quantile(0.99, "tongban_connector_call_seconds", "province"),
                           "{{province}}")],
                    unit="s",
                ),
                Panel(
                    "Allowed rate",
                    "Calls a second that the connectors allow themselves, over all replicas. It "
                    "halves when a gateway throttles, and recovers step by step.",
                    [Query("sum by (province) (tongban_connector_rate_per_s)", "{{province}}")],
                    unit="reqps",
                ),
            ],
        ),
        Row(
            "Ends",
            [
                Panel(
                    "Completed requests",
                    "By province, a second.",
                    [
                        Query(
                            "sum by (province) (rate(tongban_router_finished_total"
                            f'{{status="completed"}}[{RATE}]))',
                            "{{province}}",
                        )
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Failed and expired requests",
                    "In an hour, by province. Not 0: `tongban trace REQUEST_ID` tells the story "
                    "of one.",
                    [
                        Query(
                            "sum by (province) (increase(tongban_router_finished_total"
                            '{status=~"failed|expired"}[1h]))',
                            "{{province}}",
                        )
                    ],
                    limit=1,
                ),
                Panel(
                    "Lag",
                    "Uncommitted records by province, with what waits at the gate.",
                    [Query(_LAG, "{{province}}")],
                ),
            ],
        ),
    ],
)  # fmt: skip
