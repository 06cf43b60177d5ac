"""Spans are recorded below the right parent, with attributes of the allow-list alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, Histogram

from tests.unit.common.tracing.tracing_kit import PARENT, UNSAMPLED, recorded
from tongban_common import tracing
from tongban_common.observability.health import exposition
from tongban_common.tracing import attributes as names
from tongban_kafka import Retry

ROOT = Path(__file__).parents[4]


def test_span_is_below_its_parent_and_above_what_it_surrounds() -> None:
    with (
        recorded() as seen,
        tracing.span("outer", tracing.Kind.SERVER, parent=tracing.parse(PARENT)),
        tracing.span("inner"),
    ):
        own = tracing.current_traceparent()
    inner, outer = seen.get_finished_spans()
    assert outer.parent is not None and inner.parent is not None
    assert f"{outer.parent.span_id:016x}" in PARENT
    assert outer.kind is SpanKind.SERVER
    assert inner.parent.span_id == outer.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in (inner, outer)} == {PARENT.split("-")[1]}
    assert own is not None and own.split("-")[2] == f"{inner.context.span_id:016x}"
    assert tracing.current() is None


def test_root_begins_a_trace_of_its_own() -> None:
    with recorded() as seen, tracing.span("outer"), tracing.span("timer", root=True):
        pass
    timer, outer = seen.get_finished_spans()
    assert timer.parent is None
    assert timer.context.trace_id != outer.context.trace_id


def test_unsampled_parent_is_not_recorded_and_keeps_its_trace() -> None:
    with recorded() as seen, tracing.span("process", parent=tracing.parse(UNSAMPLED)):
        context = tracing.current()
        assert tracing.exemplar() is None
    assert not seen.get_finished_spans()
    assert context is not None
    assert (context.trace_id, context.sampled) == (UNSAMPLED.split("-")[1], False)


def test_attribute_outside_the_list_is_dropped() -> None:
    given = {
        names.REQUEST_ID: "r-1",
        "form.name": "张三",
        names.ATTEMPT: None,
        names.CALL: "x" * 999,
    }
    with recorded() as seen, tracing.span("process", attributes=given) as span:
        span.set("phone", "13800138000")
        span.set(names.RESULT, "new")
    (ended,) = seen.get_finished_spans()
    assert dict(ended.attributes or {}) == {
        names.REQUEST_ID: "r-1", names.RESULT: "new", names.CALL: "x" * 256,
    }  # fmt: skip


def test_exception_leaves_its_type_and_not_its_text() -> None:
    with recorded() as seen:
        with pytest.raises(ValueError, match="张三"), tracing.span("process"):
            raise ValueError("张三")
        with pytest.raises(Retry), tracing.span("process"):
            raise Retry("closed", after=1.0)
    failed, retried = seen.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description is None
    assert not failed.events
    assert dict(failed.attributes or {}) == {names.ERROR_TYPE: "ValueError"}
    assert retried.status.status_code is StatusCode.UNSET
    assert dict(retried.attributes or {}) == {names.RESULT: "retry"}


def test_every_attribute_in_the_code_is_a_constant_of_the_list() -> None:
    """A literal would pass the type checker and be dropped in silence."""
    literals = []
    for file in [
        *ROOT.glob("services/*/tongban_*/**/*.py"),
        *ROOT.glob("libs/*/tongban_*/**/*.py"),
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "attributes":
                keys = node.value.keys if isinstance(node.value, ast.Dict) else []
                literals += [
                    (file.name, key.value) for key in keys if isinstance(key, ast.Constant)
                ]
    assert not literals
    constants = {
        value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)
    }
    assert constants == names.ALLOWED


def test_exemplar_is_exposed_to_those_who_ask_for_openmetrics_alone() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Seconds", registry=registry)
    with recorded(), tracing.span("outer", parent=tracing.parse(PARENT)), tracing.observed(seconds):
        pass
    openmetrics, kind = exposition(registry, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert f'trace_id="{PARENT.split("-")[1]}"'.encode() in openmetrics
    plain, kind = exposition(registry, "*/*")
    assert kind.startswith("text/plain")
    assert b"trace_id" not in plain
