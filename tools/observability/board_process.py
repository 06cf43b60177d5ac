"""The dashboard of one process's insides, chosen by service (job) and instance."""

from __future__ import annotations

from tools.observability.board_flow import RATE
from tools.observability.model import Board, Panel, Query, Row

_THIS = 'job=~"$job", instance=~"$instance"'


def _by(metric: str, label: str, function: str = "sum") -> Query:
    return Query(f"{function} by ({label}) ({metric}{{{_THIS}}})", f"{{{{{label}}}}}")


def _rate(metric: str, label: str, more: str = "") -> Query:
    selector = f"{_THIS}{more}"
    return Query(
        f"sum by ({label}) (rate({metric}{{{selector}}}[{RATE}]))", f"{{{{{label}}}}}"
    )  # fmt: skip


PROCESS = Board(
    "tongban-process",
    "tongban: one process",
    "The insides of a process: choose a service (job) and an instance.",
    [
        Row(
            "The process",
            [
                Panel(
                    "Version",
                    "More than one during a roll-out is normal; afterwards it is a process that "
                    "was not replaced.",
                    [Query(f"count by (job, version) (tongban_build_info{{{_THIS}}})",
                           "{{job}} {{version}}")],
                    single=True,
                ),
                Panel(
                    "Processor",
                    "Cores in use. One process of Python uses one core at most: near 1, add a "
                    "replica.",
                    [_rate("process_cpu_seconds_total", "instance")],
                ),
                Panel(
                    "Memory",
                    "Resident. A steady climb over days is a leak: note the version and restart.",
                    [_by("process_resident_memory_bytes", "instance", "max")],
                    unit="bytes",
                ),
                Panel(
                    "Open files",
                    "A climb without a rise of traffic is a leak of connections.",
                    [_by("process_open_fds", "instance", "max")],
                ),
                Panel(
                    "Age",
                    "Since the start. A process that restarts again and again: read the end of "
                    "its log.",
                    [Query(f"max by (instance) (time() - process_start_time_seconds{{{_THIS}}})",
                           "{{instance}}")],
                    unit="s",
                ),
                Panel(
                    "Calls of the store that failed",
                    "A second. See StoreUnavailable.",
                    [_rate("tongban_store_failures_total", "job")],
                ),
            ],
        ),
        Row(
            "Its workers",
            [
                Panel(
                    "Handled records",
                    "A second, by consumer group.",
                    [_rate("tongban_worker_handled_total", "group")],
                ),
                Panel(
                    "In flight",
                    "Records in memory: queued, running, waiting. At its limit partitions are "
                    "paused: the handler or what it calls is slow.",
                    [_by("tongban_worker_in_flight", "group")],
                ),
                Panel(
                    "Stalled",
                    "Since the slowest partition got on. See WorkerStalled, and ProvinceStalled "
                    "for connectors.",
                    [_by("tongban_worker_stalled_seconds", "group", "max")],
                    unit="s",
                ),
                Panel(
                    "Time in the handler, mean",
                    "From the call of the handler until the record was done, with its retries.",
                    [
                        Query(
                            f"sum by (group) (rate(tongban_worker_handler_seconds_sum{{{_THIS}}}"
                            f"[{RATE}])) / sum by (group) "
                            f"(rate(tongban_worker_handler_seconds_count{{{_THIS}}}[{RATE}]) > 0)",
                            "{{group}}",
                        )
                    ],
                    unit="s",
                ),
                Panel(
                    "Retries and troubles",
                    "Records tried again, and calls that failed because of the process itself.",
                    [
                        Query(f"sum(rate(tongban_worker_retried_total{{{_THIS}}}[{RATE}]))",
                              "retried"),
                        Query(f"sum(rate(tongban_worker_process_troubles_total{{{_THIS}}}"
                              f"[{RATE}]))", "process troubles"),
                    ],
                ),
                Panel(
                    "Lease",
                    "Seconds until the coordinator may have given the partitions away. 0: Kafka "
                    "is not reached, see KafkaUnavailable.",
                    [_by("tongban_worker_lease_seconds", "group", "min")],
                    unit="s",
                ),
            ],
        ),
        Row(
            "Its producers",
            [
                Panel(
                    "Acknowledged and failed",
                    "Records a second. Failed ones are sent again by whoever needs them.",
                    [
                        _rate("tongban_producer_acknowledged_total", "client"),
                        Query(f"sum(rate(tongban_producer_failed_total{{{_THIS}}}[{RATE}]))",
                              "failed"),
                    ],
                ),
                Panel(
                    "Pending",
                    "Records that wait for their acknowledgement: a climb is a slow broker.",
                    [_by("tongban_producer_pending", "client")],
                ),
            ],
        ),
        Row(
            "A router's insides",
            [
                Panel(
                    "Events",
                    "A second, by topic. Choose the job router.",
                    [Query(f"sum by (topic) (rate(tongban_router_events_total[{RATE}]))",
                           "{{topic}}")],
                ),
                Panel(
                    "Repeats",
                    "Events that were seen before. Some after a restart are normal.",
                    [Query('sum by (result) (rate(tongban_router_events_total'
                           f"[{RATE}]))", "{{result}}")],
                ),
                Panel(
                    "Lag by partition",
                    "One partition that stays behind is stuck; all together are too much work.",
                    [Query("max by (topic, partition) (tongban_router_lag_records)",
                           "{{topic}} {{partition}}")],
                ),
            ],
        ),
    ],
    variables=("job", "instance"),
)  # fmt: skip
