"""The dashboard of the whole flow, from the kiosk to the paper."""

from __future__ import annotations

from tools.observability.limits import OLDEST_UNSENT, PROMISED, ROUTER_LAG
from tools.observability.model import Board, Panel, Query, Row
from tools.observability.promises import COMPLETION, PAPER, Promise

RATE = "$__rate_interval"
_FIVE_MINUTES = PROMISED.total_seconds()


def quantile(share: float, metric: str, by: str = "", where: str = "", window: str = RATE) -> str:
    """Return a quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    selector = f"{{{where}}}" if where else ""
    rate = f"rate({metric}_bucket{selector}[{window}])"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate}))"


def _kept(promise: Promise) -> str:
    return f"sum(rate({promise.good}[1h])) / sum(rate({promise.total}[1h]))"


FLOW = Board(
    "tongban-flow",
    "tongban: the whole flow",
    "From the kiosk to the paper. Times are business time, without requests that waited for an "
    "applicant, a closed province or an operator's pause where a panel says so.",
    [
        Row(
            "The published five minutes",
            [
                Panel(
                    "Paper within five minutes",
                    "Share of first copies in the last hour whose last sheet came within five "
                    "minutes of the submission. Below 99 %: see the runbook PaperSlow.",
                    [Query(_kept(PAPER))],
                    unit="percentunit",
                    single=True,
                ),
                Panel(
                    "Completed within five minutes",
                    "Share of queries and prints in the last hour that were completed within five "
                    "minutes. Below 99 %: see the runbook CompletionSlow.",
                    [Query(_kept(COMPLETION))],
                    unit="percentunit",
                    single=True,
                ),
                Panel(
                    "Time to paper",
                    "From the submission to the last sheet; the red line is the published limit. "
                    "If only p99 rises, look for a printer in trouble, then for a slow province.",
                    [
                        Query(quantile(0.5, PAPER.metric, where=PAPER.where), "p50"),
                        Query(quantile(0.99, PAPER.metric, where=PAPER.where), "p99"),
                    ],
                    unit="s",
                    limit=_FIVE_MINUTES,
                ),
                Panel(
                    "Time to completion",
                    "From the submission to the province's answer, by kind of item. A handled item "
                    "may take its province days; a query and a print may not.",
                    [
                        Query(
                            quantile(0.99, COMPLETION.metric, "kind", 'waited_for="no"'),
                            "{{kind}} p99",
                        )
                    ],
                    unit="s",
                    limit=_FIVE_MINUTES,
                ),
            ],
        ),
        Row(
            "What flows",
            [
                Panel(
                    "Requests",
                    "Accepted by intake, and ended by the router. Lines that part for longer than "
                    "the items take mean that requests pile up: see the open requests.",
                    [
                        Query(f"sum(rate(tongban_intake_accepted_total[{RATE}]))", "accepted"),
                        Query(
                            f"sum by (status) (rate(tongban_router_finished_total[{RATE}]))",
                            "{{status}}",
                        ),
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Answers of intake",
                    "By status. 5xx are faults of ours, 429 a limit, 422 a form with a fault: a "
                    "sudden rise of 422 may be an item that was published with a mistake.",
                    [
                        Query(
                            f"sum by (status) (rate(tongban_intake_http_requests_total[{RATE}]))",
                            "{{status}}",
                        )
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Sheets and messages",
                    "Pages printed and messages sent. Both follow the completed requests; if one "
                    "stops, open the dashboard of devices and messages.",
                    [
                        Query(f"sum(rate(tongban_printing_sheets_total[{RATE}]))", "sheets"),
                        Query(
                            f'sum(rate(tongban_notify_messages_total{{outcome="sent"}}[{RATE}]))',
                            "messages",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "What stands",
            [
                Panel(
                    "Open requests",
                    "By status. `held` waits for an operator (`tongban dlt list`), "
                    "`needs_supplement` for an applicant, `waiting_for_province` for its gateway.",
                    [Query("sum by (status) (tongban_router_open_requests)", "{{status}}")],
                ),
                Panel(
                    "Oldest open request",
                    "By status. `submitted` and `routed` beyond the red line: no connector has "
                    "reported on a request, see OldestRequestTooOld.",
                    [Query("max by (status) (tongban_router_oldest_open_seconds)", "{{status}}")],
                    unit="s",
                    limit=OLDEST_UNSENT.total_seconds(),
                ),
                Panel(
                    "Lag of the router",
                    "Unhandled records by topic. It should return to 0 within seconds; a partition "
                    "that stays behind alone is stuck, see RouterStuck.",
                    [Query("sum by (topic) (tongban_router_lag_records)", "{{topic}}")],
                    limit=ROUTER_LAG,
                ),
                Panel(
                    "Lag of the workers",
                    "Uncommitted records by consumer group, without the connectors, which have a "
                    "dashboard. See WorkerStalled.",
                    [
                        Query(
                            'sum by (group) (tongban_worker_lag_records{group!~"connectors-.*"})',
                            "{{group}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "What must be zero",
            [
                Panel(
                    "Overdue",
                    "Open requests an hour past their deadline that are not held. Not 0: requests "
                    "are lost to the router's timer, see RequestsOverdue.",
                    [Query("sum(tongban_router_overdue_requests)")],
                    single=True,
                    limit=1,
                ),
                Panel(
                    "Lost records",
                    "Offsets that a log lacked when they were due, or beyond its end, in an hour. "
                    "Not 0: Kafka has lost or deleted records too early, see RecordsLost.",
                    [
                        Query(
                            "sum(increase(tongban_worker_skipped_total[1h]))"
                            " + sum(increase(tongban_worker_went_back_total[1h]))"
                        )
                    ],
                    single=True,
                    limit=1,
                ),
                Panel(
                    "Dead letters",
                    "Records given up in an hour. Each holds its request: `tongban dlt list`, see "
                    "DeadLetters.",
                    [
                        Query(
                            "sum(increase(tongban_worker_dead_lettered_total[1h])) + "
                            'sum(increase(tongban_router_events_total{result="dead_lettered"}[1h]))'
                        )
                    ],
                    single=True,
                    limit=1,
                ),
            ],
        ),
    ],
)
