"""Switch tracing on as a process starts, and export what is left as it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from tongban_common.tracing.spans import use_backend

if TYPE_CHECKING:
    from tongban_common.tracing.export import ExportQueue

log = structlog.get_logger(__name__)
FLUSH_S = 2.0
"""Seconds that the end of a process waits for the collector."""


class TracingSettings(Protocol):
    """The settings that tracing reads; `CommonSettings` has them."""

    @property
    def tracing(self) -> bool: ...

    @property
    def instance(self) -> str: ...

    @property
    def otel_service_name(self) -> str | None: ...

    @property
    def otel_exporter_otlp_endpoint(self) -> str: ...

    @property
    def otel_traces_sampler(self) -> str: ...

    @property
    def otel_traces_sampler_arg(self) -> float: ...


class _Started:
    queue: ExportQueue | None = None


def start(settings: TracingSettings, service: str) -> None:
    """Record spans if the settings want it. A process calls this once, after `configure_logging`.

    Further variables of OpenTelemetry's exporter (OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE,
    _COMPRESSION, _TIMEOUT) and OTEL_RESOURCE_ATTRIBUTES are read by its SDK.
    """
    if not settings.tracing:
        return
    # The SDK and its exporter take 0.2 s and 20 MB that a process without tracing does not pay.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    from tongban_common.tracing.export import ExportQueue  # noqa: PLC0415
    from tongban_common.tracing.sdk import SdkBackend, make_sampler  # noqa: PLC0415

    endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    queue = ExportQueue(OTLPSpanExporter(endpoint=endpoint))
    use_backend(
        SdkBackend(
            service=settings.otel_service_name or f"tongban-{service}",
            instance=settings.instance,
            sampler=make_sampler(settings.otel_traces_sampler, settings.otel_traces_sampler_arg),
            processor=queue,
        )
    )
    _Started.queue = queue
    log.info("tracing_on", sampler=settings.otel_traces_sampler)


def stop(timeout: float = FLUSH_S) -> None:
    """Export the spans that wait, for at most `timeout` seconds. Idempotent."""
    queue, _Started.queue = _Started.queue, None
    if queue is None:
        return
    use_backend(None)
    queue.close(timeout)
    log.info("tracing_ended", exported=queue.exported, failed=queue.failed, dropped=queue.dropped)
