"""Record spans by OpenTelemetry's SDK. Imported only where tracing is on: it takes 0.2 s."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from tongban_common.tracing.attributes import Value
from tongban_common.tracing.context import TraceContext
from tongban_common.tracing.spans import Kind
from tongban_common.version import VERSION

_KINDS = {kind: SpanKind[kind.value] for kind in Kind}


class LinkedSampler(sampling.Sampler):
    """Samples like another sampler, but a span without parent and with links like those: a bulk
    write that has to do with a recorded request is recorded, and no other is."""

    def __init__(self, inner: sampling.Sampler) -> None:
        self._inner = inner

    def should_sample(  # noqa: PLR0917 - the signature is the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: Any = None,
    ) -> sampling.SamplingResult:
        """Decide on a span that begins."""
        inner = self._inner
        if links and not get_current_span(parent_context).get_span_context().is_valid:
            sampled = any(link.context.trace_flags.sampled for link in links)
            inner = sampling.ALWAYS_ON if sampled else sampling.ALWAYS_OFF
        return inner.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return the name by which the SDK shows it."""
        return f"LinkedSampler({self._inner.get_description()})"


def make_sampler(name: str, argument: float) -> sampling.Sampler:
    """Return the sampler of that name of OTEL_TRACES_SAMPLER; `argument` is the ratio."""
    ratio = sampling.TraceIdRatioBased(argument)
    samplers: dict[str, sampling.Sampler] = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "traceidratio": ratio,
        "parentbased_always_on": sampling.DEFAULT_ON,
        "parentbased_always_off": sampling.DEFAULT_OFF,
        "parentbased_traceidratio": sampling.ParentBased(ratio),
    }
    return LinkedSampler(samplers[name])


class SdkBackend:
    """Makes spans with a tracer provider of its own; it sets no global of OpenTelemetry."""

    def __init__(
        self, *, service: str, instance: str, sampler: sampling.Sampler, processor: SpanProcessor
    ) -> None:
        resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "tongban",
                "service.instance.id": instance,
                "service.version": VERSION,
            }
        )
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("tongban", VERSION)

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        links: Iterable[TraceContext],
        attributes: dict[str, Value],
    ) -> tuple[Any, TraceContext]:
        """Start a span; return it and its context."""
        above = Context()
        if parent is not None:
            above = set_span_in_context(NonRecordingSpan(_context_of(parent)), above)
        span = self._tracer.start_span(
            name,
            context=above,
            kind=_KINDS[kind],
            attributes=attributes,
            links=[Link(_context_of(link)) for link in links],
        )
        own = span.get_span_context()
        return span, TraceContext(
            f"{own.trace_id:032x}", f"{own.span_id:016x}", own.trace_flags.sampled
        )


def _context_of(context: TraceContext) -> SpanContext:
    flags = TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, TraceFlags(flags))
