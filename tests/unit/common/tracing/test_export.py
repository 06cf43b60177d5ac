"""A collector that is away, slow or full costs spans, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from tongban_common import tracing
from tongban_common.tracing.export import ExportQueue
from tongban_common.tracing.sdk import SdkBackend, make_sampler
from tongban_common.tracing.spans import use_backend

PATIENCE_S = 30.0


class Collector(SpanExporter):
    """Answers once `open` is set."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.open = threading.Event()
        self.asked = threading.Event()
        self.result = result
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        self.asked.set()
        self.open.wait(PATIENCE_S)
        return self.result

    def shutdown(self) -> None:
        self.closed = True


def spans(queue: ExportQueue, count: int) -> None:
    use_backend(
        SdkBackend(
            service="s", instance="i", sampler=make_sampler("always_on", 1.0), processor=queue
        )
    )
    try:
        for _ in range(count):
            with tracing.span("process"):
                pass
    finally:
        use_backend(None)


def test_queue_full_drops_and_counts_without_waiting() -> None:
    collector, registry = Collector(), CollectorRegistry()
    queue = ExportQueue(collector, size=10, batch=5, registry=registry)
    spans(queue, 5)
    assert collector.asked.wait(PATIENCE_S)
    began = time.monotonic()
    spans(queue, 100)  # five are with the exporter, ten wait
    assert time.monotonic() - began < PATIENCE_S / 2
    assert queue.dropped == 90
    assert registry.get_sample_value("tongban_tracing_spans_total", {"result": "dropped"}) == 90
    assert registry.get_sample_value("tongban_tracing_queued_spans") == 10
    collector.open.set()
    queue.close(PATIENCE_S)
    assert (queue.exported, queue.dropped) == (15, 90)


def test_close_exports_what_waits() -> None:
    collector = Collector()
    collector.open.set()
    queue = ExportQueue(collector, pause_s=PATIENCE_S, registry=CollectorRegistry())
    spans(queue, 3)
    queue.close(PATIENCE_S)
    assert (queue.exported, queue.dropped) == (3, 0)
    assert collector.closed


def test_close_returns_in_time_though_the_collector_hangs() -> None:
    collector = Collector()
    queue = ExportQueue(collector, batch=2, registry=CollectorRegistry())
    spans(queue, 5)
    assert collector.asked.wait(PATIENCE_S)
    began = time.monotonic()
    queue.close(0.2)
    assert time.monotonic() - began < PATIENCE_S / 3
    assert queue.dropped >= 1
    assert queue.exported == 0
    collector.open.set()


def test_batch_that_the_collector_refuses_is_counted() -> None:
    collector = Collector(SpanExportResult.FAILURE)
    collector.open.set()
    queue = ExportQueue(collector, registry=CollectorRegistry())
    spans(queue, 4)
    queue.close(PATIENCE_S)
    assert (queue.exported, queue.failed) == (0, 4)
