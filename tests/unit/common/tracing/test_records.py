"""Spans of records: one is below its sender, many are linked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import SpanKind

from tests.unit.common.tracing.tracing_kit import PARENT, UNSAMPLED, record, recorded
from tongban_common import tracing
from tongban_common.events import decode
from tongban_common.events.models import TimerDue
from tongban_common.events.publisher import EventPublisher
from tongban_common.tracing import attributes as names

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    async def send(self, topic: str, **record: Any) -> None:
        self.records.append({"topic": topic, **record})


async def test_record_that_arises_from_a_record_is_two_spans_further_in_its_trace() -> None:
    sent = Sent()
    publisher = EventPublisher(sent, "test")
    with recorded() as seen, tracing.RecordSpans("group").handling([record(PARENT, offset=7)]):
        body = TimerDue(request_id="r-1", due=NOW)
        await publisher.publish("router.timers", body, event_id="e-2", at=NOW)
    sending, handling = seen.get_finished_spans()
    assert (handling.name, handling.kind) == ("process requests.submitted", SpanKind.CONSUMER)
    assert (sending.name, sending.kind) == ("send router.timers", SpanKind.PRODUCER)
    assert handling.parent is not None and f"{handling.parent.span_id:016x}" in PARENT
    assert sending.parent is not None and sending.parent.span_id == handling.context.span_id
    assert dict(handling.attributes or {})[names.OFFSET] == 7
    assert names.REQUEST_ID not in dict(handling.attributes or {})  # the key is none of ours
    event = decode(sent.records[0]["value"], sent.records[0]["headers"])
    trace_id = PARENT.split("-")[1]
    assert event.traceparent == f"00-{trace_id}-{sending.context.span_id:016x}-01"


async def test_record_published_without_a_trace_has_no_header() -> None:
    sent = Sent()
    body = TimerDue(request_id="r-1", due=NOW)
    await EventPublisher(sent, "test").publish("router.timers", body, event_id="e-2", at=NOW)
    assert "traceparent" not in dict(sent.records[0]["headers"])


async def test_tracing_off_passes_the_header_on_unchanged() -> None:
    sent = Sent()
    with tracing.RecordSpans("group").handling([record(PARENT)]):
        body = TimerDue(request_id="r-1", due=NOW)
        await EventPublisher(sent, "test").publish("router.timers", body, event_id="e", at=NOW)
    assert dict(sent.records[0]["headers"])["traceparent"] == PARENT.encode()


def test_record_without_a_trace_begins_one_whatever_the_task_inherited() -> None:
    handling = tracing.RecordSpans("group").handling
    with recorded() as seen, tracing.span("of another request"), handling([record()]):
        pass
    assert seen.get_finished_spans()[0].parent is None


def test_batch_links_each_traced_record_and_is_recorded_if_one_of_them_is() -> None:
    spans = tracing.BatchSpans("readmodel")
    with recorded("parentbased_traceidratio", 0.0) as seen:
        with spans.handling([record(PARENT), record(UNSAMPLED, offset=1), record(offset=2)]):
            pass
        with spans.handling([record(UNSAMPLED), record(offset=1)]):
            pass
        with spans.handling([record()]):
            pass
    (batch,) = seen.get_finished_spans()
    assert batch.parent is None
    assert {f"{link.context.trace_id:032x}" for link in batch.links} == {
        PARENT.split("-")[1], UNSAMPLED.split("-")[1],
    }  # fmt: skip
    assert dict(batch.attributes or {})[names.BATCH_COUNT] == 3


def test_sampler_with_a_ratio_decides_for_roots_and_follows_parents() -> None:
    with recorded("parentbased_traceidratio", 0.0) as seen:
        with tracing.span("root"):
            pass
        with tracing.span("child", parent=tracing.parse(PARENT)):
            pass
    assert [span.name for span in seen.get_finished_spans()] == ["child"]
