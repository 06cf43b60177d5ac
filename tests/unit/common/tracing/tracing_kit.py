"""Tracing that keeps its spans in memory, for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tongban_common.tracing.sdk import SdkBackend, make_sampler
from tongban_common.tracing.spans import use_backend
from tongban_kafka import Record

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@contextmanager
def recorded(
    sampler: str = "parentbased_always_on", argument: float = 1.0
) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    backend = SdkBackend(
        service="tongban-test",
        instance="test-0",
        sampler=make_sampler(sampler, argument),
        processor=SimpleSpanProcessor(exporter),
    )
    use_backend(backend)
    try:
        yield exporter
    finally:
        use_backend(None)


def record(traceparent: str | None = None, *, offset: int = 0, key: bytes | None = b"k") -> Record:
    headers = [("ce_id", b"e-1")]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return Record("requests.submitted", 3, offset, 0, key, b"{}", tuple(headers), False, 0.0)
