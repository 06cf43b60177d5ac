"""Own spans for OpenTelemetry, from W3C `traceparent`, off unless TONGBAN_TRACING says otherwise.

`docs/tracing.md` lists the spans; ADR 0028 has the decisions. `span` starts one, `start` and `stop`
surround a process, `current_traceparent` is what outgoing messages carry. The hooks of HTTP are in
`tongban_common.tracing.http`, those of workers in `tongban_common.tracing.records`.
"""

from tongban_common.tracing.context import (
    TRACEPARENT,
    TraceContext,
    continuing,
    current,
    current_traceparent,
    parse,
)
from tongban_common.tracing.lifecycle import start, stop
from tongban_common.tracing.records import BatchSpans, RecordSpans, origin_of, sending
from tongban_common.tracing.spans import Kind, Span, exemplar, observed, recording, span

__all__ = [
    "TRACEPARENT",
    "BatchSpans",
    "Kind",
    "RecordSpans",
    "Span",
    "TraceContext",
    "continuing",
    "current",
    "current_traceparent",
    "exemplar",
    "observed",
    "origin_of",
    "parse",
    "recording",
    "sending",
    "span",
    "start",
    "stop",
]
