"""Spans around what workers do with records, as the hook of `tongban_kafka.Worker`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from tongban_common.tracing import attributes as names
from tongban_common.tracing.context import TRACEPARENT, TraceContext, continuing, parse
from tongban_common.tracing.spans import Kind, Span, recording, span, unrecorded
from tongban_kafka import Record

_MOST_LINKS = 128
"""Links of one span; the SDK keeps as many."""


def origin_of(record: Record) -> TraceContext | None:
    """Return the context that the record's producer sent."""
    header = record.header(TRACEPARENT)
    return None if header is None else parse(header)


class RecordSpans:
    """Traces the records of one consumer group: the `scope` of its worker.

    A handler of one record is a span of the record's trace, below the span that sent it. A handler
    of a batch is a span of its own, which links the span of each record (OpenTelemetry's
    conventions for messaging): no single one of them caused it.
    """

    def __init__(self, group: str) -> None:
        self._group = group

    def handling(self, records: Sequence[Record]) -> AbstractContextManager[Span]:
        """Surround one call of a handler of single records."""
        record = records[0]
        origin = origin_of(record)
        if not recording():
            return unrecorded(origin)
        return span(
            f"process {record.topic}",
            Kind.CONSUMER,
            parent=origin,
            root=True,
            attributes={
                **self._of(record),
                names.PARTITION: str(record.partition),
                names.OFFSET: record.offset,
                names.REQUEST_ID: names.request_id_of(record.key),
                names.ATTEMPT: record.attempt,
            },
        )

    def about(self, record: Record) -> AbstractContextManager[None]:
        """Surround what the worker itself does about a record: log its failure, give it up."""
        return continuing(origin_of(record))

    def _of(self, record: Record) -> dict[str, names.Value | None]:
        return {
            names.MESSAGING_SYSTEM: "kafka",
            names.OPERATION: "process",
            names.OPERATION_TYPE: "process",
            names.DESTINATION: record.topic,
            names.GROUP: self._group,
        }


class BatchSpans(RecordSpans):
    """The same for a worker of batches."""

    def handling(self, records: Sequence[Record]) -> AbstractContextManager[Span]:
        """Surround one call of a handler of many records."""
        if not recording():
            return unrecorded()
        topics = {record.topic for record in records}
        origins = dict.fromkeys(origin for record in records if (origin := origin_of(record)))
        # Recorded ones first, where there are more than a span may have.
        links = sorted(origins, key=lambda origin: not origin.sampled)[:_MOST_LINKS]
        one = records[0].topic if len(topics) == 1 else "batch"
        return span(
            f"process {one}",
            Kind.CONSUMER,
            root=True,
            links=links,
            attributes={
                **self._of(records[0]),
                names.DESTINATION: one if len(topics) == 1 else None,
                names.BATCH_COUNT: len(records),
                names.ATTEMPT: records[0].attempt,
            },
        )


def sending(
    topic: str, *, event_type: str | None = None, event_id: str | None = None, root: bool = False
) -> AbstractContextManager[Span]:
    """Return the span of one record that is sent; its context goes into the record's header."""
    if not recording():
        return unrecorded()
    return span(
        f"send {topic}",
        Kind.PRODUCER,
        root=root,
        attributes={
            names.MESSAGING_SYSTEM: "kafka",
            names.OPERATION: "send",
            names.OPERATION_TYPE: "send",
            names.DESTINATION: topic,
            names.EVENT_TYPE: event_type,
            names.EVENT_ID: event_id,
        },
    )
