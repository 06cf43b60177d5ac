"""Export ended spans from a thread, so that no collector ever slows a process down.

OpenTelemetry's own batch processor has neither a count of what it drops nor an end within a time:
here a full queue drops the new span and counts it, and `close` returns in time whatever the
collector does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

QUEUE_SPANS = 4096
"""Most spans that wait: about 8 MB, and 20 s of a busy process."""
BATCH_SPANS = 512
_PAUSE_S = 1.0
"""Seconds after which a batch that is not full is exported."""


class ExportQueue(SpanProcessor, Collector):
    """Queues ended spans, and exports them in batches from a daemon thread."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        size: int = QUEUE_SPANS,
        batch: int = BATCH_SPANS,
        pause_s: float = _PAUSE_S,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._exporter = exporter
        self._size, self._batch, self._pause_s = size, batch, pause_s
        self._queue: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closing = False
        self.exported = self.failed = self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()
        registry.register(self)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended, or drop it where the queue is full. Never blocks."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        if self._closing or len(self._queue) >= self._size:
            self.dropped += 1
            return
        self._queue.append(span)
        if len(self._queue) >= self._batch:
            self._wake.set()

    def close(self, timeout: float) -> None:
        """Export what is queued within `timeout` seconds, and drop and count the rest."""
        until = time.monotonic() + timeout
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)
        # Interrupts the back-off of an export under way. The thread is a daemon: if the collector
        # still holds it, it ends with the process.
        self._exporter.shutdown()
        self._thread.join(max(0.0, min(0.1, until - time.monotonic())))
        self.dropped += len(self._queue)
        self._queue.clear()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._pause_s)
            self._wake.clear()
            self._export_all()
        self._export_all()

    def _export_all(self) -> None:
        while count := min(self._batch, len(self._queue)):
            batch = [self._queue.popleft() for _ in range(count)]
            try:
                done = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception:
                done = False  # the exporter has logged it; a lost trace is no reason to end
            if done:
                self.exported += count
            else:
                self.failed += count

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metrics; prometheus_client calls this at each scrape."""
        ended = CounterMetricFamily(
            "tongban_tracing_spans",
            "Recorded spans by what became of them: exported, failed (the collector did not accept "
            "them) or dropped (the queue was full, or the process ended)",
            labels=["result"],
        )
        for result in ("exported", "failed", "dropped"):
            ended.add_metric([result], getattr(self, result))
        yield ended
        yield GaugeMetricFamily(
            "tongban_tracing_queued_spans",
            "Spans that wait for their export",
            value=len(self._queue),
        )
