"""Exports metrics of workers and producers to Prometheus. A scrape reads their plain integers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tongban_kafka.partition import SECONDS_BOUNDS

if TYPE_CHECKING:
    from tongban_kafka.producer import EventProducer
    from tongban_kafka.worker_health import WorkerHealth


GAUGES = {
    "in_flight": "records in memory: queued, running, waiting for a retry or an acknowledgement",
    "under_way": "handlers, acknowledgements and dead letters being waited for",
    "paused_partitions": "partitions that are not fetched because they are full",
    "assigned_partitions": "partitions of this member",
    "unreadable_partitions": "partitions whose next batch cannot be read",
    "stalled_seconds": "seconds since the slowest partition with unfinished records got on",
    "lease_seconds": "seconds until the coordinator may have given the partitions to others",
    "turn_age_seconds": "seconds since the fetching loop last turned",
}
COUNTERS = {
    "commits": "commits of offsets that succeeded",
    "commit_failures": "commits that failed; the next one includes their offsets",
    "rebalances": "times that partitions were given up",
    "drain_timeouts": "times that handlers had to be cancelled when partitions were given up",
}
_BY_TOPIC = {
    "handled": "records that ended well",
    "errors": "calls of the handler that failed",
    "process_troubles": "calls that failed because of the process, not of a record",
    "retried": "records tried again",
    "dead_lettered": "records given up",
    "skipped": "offsets that were no longer there when they were due",
    "went_back": "times that the log ended below what was read or committed of it",
}


class WorkerCollector(Collector):
    """Collects the metrics of all workers of the process; there is one for each registry. Labels:
    `group`, `topic`, and `partition` for the lag."""

    def __init__(self) -> None:
        self._sources: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, source: WorkerHealth) -> None:
        """Include a worker until it is garbage-collected."""
        self._sources.add(source)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families of all workers."""
        newest: dict[str, Any] = {}
        for source in self._sources:
            # Only the newest of a group: a worker that was replaced may exist for a while.
            if source.group not in newest or newest[source.group].ended:
                newest[source.group] = source
        sources: list[WorkerHealth] = sorted(newest.values(), key=lambda source: str(source.group))
        yield from self._gauges(sources)
        yield from self._counters(sources)
        yield self._seconds(sources)

    @staticmethod
    def _gauges(sources: list[WorkerHealth]) -> Iterator[Metric]:
        for name, text in GAUGES.items():
            gauge = GaugeMetricFamily(f"tongban_worker_{name}", text, labels=["group"])
            for source in sources:
                gauge.add_metric([source.group], source.gauges()[name])
            yield gauge
        lag = GaugeMetricFamily(
            "tongban_worker_lag_records",
            "records of a partition that are not committed as done",
            labels=["group", "topic", "partition"],
        )
        for source in sources:
            for topic, partition, value in source.lags():
                lag.add_metric([source.group, topic, str(partition)], value)
        yield lag

    @staticmethod
    def _counters(sources: list[WorkerHealth]) -> Iterator[Metric]:
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"tongban_worker_{name}", text, labels=["group"])
            for source in sources:
                counter.add_metric([source.group], source.counters()[name])
            yield counter
        for name, text in _BY_TOPIC.items():
            counter = CounterMetricFamily(f"tongban_worker_{name}", text, labels=["group", "topic"])
            for source in sources:
                for stats in source.topic_stats():
                    counter.add_metric([source.group, stats.topic], getattr(stats, name))
            yield counter

    @staticmethod
    def _seconds(sources: list[WorkerHealth]) -> Metric:
        family = HistogramMetricFamily(
            "tongban_worker_handler_seconds",
            "from the call of the handler until the record was done",
            labels=["group", "topic"],
        )
        for source in sources:
            for stats in source.topic_stats():
                buckets, total = [], 0
                for bound, count in zip((*SECONDS_BOUNDS, "+Inf"), stats.buckets, strict=True):
                    total += count
                    buckets.append((str(bound), float(total)))
                family.add_metric([source.group, stats.topic], buckets, stats.seconds)
        return family


PRODUCER_COUNTERS = {
    "acknowledged": "records that Kafka has acknowledged",
    "failed": "records that were not acknowledged in time, or refused",
    "connections": "clients made; more than one means that one was given up",
}
PRODUCER_GAUGES = {
    "pending": "records that wait for acknowledgement",
    "connected": "1 while there is a connection that is not known to be broken",
}


class ProducerCollector(Collector):
    """Collects the metrics of all producers of the process; there is one for each registry. Label:
    `client`."""

    def __init__(self) -> None:
        self._sources: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, source: EventProducer) -> None:
        """Include a producer until it is garbage-collected."""
        self._sources.add(source)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families of all producers; those of one client id are added up."""
        totals: dict[str, dict[str, float]] = {}
        for source in self._sources:
            sums = totals.setdefault(source.client_id, {})
            for name, value in {**source.counters(), **source.gauges()}.items():
                sums[name] = sums.get(name, 0) + value
        for names, family in (
            (PRODUCER_COUNTERS, CounterMetricFamily),
            (PRODUCER_GAUGES, GaugeMetricFamily),
        ):
            for name, text in names.items():
                metric = family(f"tongban_producer_{name}", text, labels=["client"])
                for client, sums in sorted(totals.items()):
                    metric.add_metric([client], sums[name])
                yield metric


_Made = TypeVar("_Made", WorkerCollector, ProducerCollector)
_collectors: weakref.WeakKeyDictionary[CollectorRegistry, dict[type[Collector], Collector]] = (
    weakref.WeakKeyDictionary()
)


def collector_of(registry: CollectorRegistry, kind: type[_Made]) -> _Made:
    """Return the registry's collector of a kind; the first call registers it."""
    made = _collectors.setdefault(registry, {})
    collector = made.get(kind)
    if not isinstance(collector, kind):
        collector = made[kind] = kind()
        registry.register(collector)
    return collector
