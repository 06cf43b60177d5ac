"""Generate docs/reference/metrics.md: every metric that the code defines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tongban_kafka.metrics import ProducerCollector, WorkerCollector
from tongban_ops.event_documents.markdown import table, ticked
from tools.reference.code import NOTE, SERVICES, sources, users

_KINDS = {
    "Counter": "counter",
    "count": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "watch": "gauge",
    "Histogram": "histogram",
}
"""These calls define a metric: classes of prometheus_client, and two functions of intake."""
_UNITS = {
    "_seconds": "seconds",
    "_per_s": "per second",
    "_bytes": "bytes",
    "_records": "records",
    "_partitions": "partitions",
    "_spans": "spans",
}
_SECTIONS = {
    "intake": "Intake",
    "router": "The router",
    "connectors": "The connectors",
    "printing": "Printing",
    "notify": "Notify",
    "gateways": "The simulated gateways",
    "devices": "The simulated printers and SMS providers",
}
_INTRODUCTION = """
Every process serves its metrics in Prometheus' text format at `/metrics`: intake at its public
port, or at `TONGBAN_PROBE_PORT` where that is set, the others at `TONGBAN_HTTP_PORT`. Beside these
there are `process_*` and `python_*` of the Prometheus client. A histogram has `_bucket`, `_count`
and `_sum`. A counter counts since its process has started. [Operations](../operations.md) says what
to look at.
"""


@dataclass(frozen=True, slots=True)
class DefinedMetric:
    """One metric as a scrape shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    def row(self) -> tuple[str, ...]:
        """Return its row of the table."""
        return f"`{self.name}`", self.kind, self.unit(), ticked(self.labels), self.meaning

    def unit(self) -> str:
        """Return the unit, which the end of the name says; a counter without one counts."""
        plain = self.name.removesuffix("_total")
        return next((unit for end, unit in _UNITS.items() if plain.endswith(end)), "")


def defined(package: str) -> Iterator[DefinedMetric]:
    """Yield the metrics of a package, in the order of its modules."""
    for file in sources(package):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id=kind),
                    args=[ast.Constant(value=str(name)), ast.Constant(value=str(text)), *more],
                    keywords=named,
                ) if kind in _KINDS and name.startswith("tongban_"):
                    labels: tuple[str, ...] = ()
                    more += [each.value for each in named if each.arg == "labels"]
                    if more and isinstance(more[0], ast.List | ast.Tuple):
                        labels = tuple(ast.literal_eval(more[0]))
                    yield _metric(name, _KINDS[kind], labels, text)


def _metric(name: str, kind: str, labels: tuple[str, ...], text: str) -> DefinedMetric:
    if kind == "counter":
        name = name.removesuffix("_total") + "_total"
    return DefinedMetric(name, kind, labels, text[:1].upper() + text[1:])


def of_workers() -> list[DefinedMetric]:
    """Return the metrics of every worker of `tongban_kafka`."""
    return _collected(WorkerCollector())


def of_producers() -> list[DefinedMetric]:
    """Return the metrics of every producer of `tongban_kafka`."""
    return _collected(ProducerCollector())


def _collected(collector: WorkerCollector | ProducerCollector) -> list[DefinedMetric]:
    return [
        _metric(family.name, family.type, tuple(family._labelnames), family.documentation)  # type: ignore[attr-defined]
        for family in collector.collect()
    ]


def metrics_page() -> str:
    """Return the page."""
    parts = ["# Metrics\n", NOTE, _INTRODUCTION]
    parts += _section("Every process", "", [*defined("common"), *defined("kafka")])
    workers = ", ".join(users(r"(?<![.\w])(Batch)?Worker\(", SERVICES))
    parts += _section(
        "Workers",
        f"Of every consumer group that a worker of `tongban_kafka` serves ({workers}). "
        "[The consumer runtime](../worker.md) says how a worker works.",
        of_workers(),
    )
    producers = ", ".join(users(r"\bEventProducer\b", SERVICES))
    parts += _section(
        "Producers", f"Of every producer ({producers}), by its client id.", of_producers()
    )
    for package, title in _SECTIONS.items():
        parts += _section(title, "", list(defined(package)))
    return "\n".join(parts)


def _section(title: str, text: str, metrics: list[DefinedMetric]) -> list[str]:
    if not metrics:
        return []
    rows = (metric.row() for metric in sorted(metrics, key=lambda each: each.name))
    return [
        f"## {title}\n",
        *([text + "\n"] if text else []),
        table(["name", "type", "unit", "labels", "meaning"], rows),
    ]
