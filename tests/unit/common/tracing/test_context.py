"""Which `traceparent` is read, and what becomes of one in a process that records nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.unit.common.tracing.tracing_kit import PARENT
from tongban_common import tracing

TRACE, SPAN = PARENT.split("-")[1:3]
PROGRAM = f"""
import structlog, sys
from tongban_common import tracing
from tongban_common.observability import configure_logging
configure_logging("intake", instance="intake-0")
log = structlog.get_logger()
with tracing.span("process", parent=tracing.parse("{PARENT}")):
    log.info("inside")
log.info("outside")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.parametrize(
    "header",
    [
        PARENT,
        f"cc-{TRACE}-{SPAN}-01-of-a-later-version",
        PARENT.encode(),
    ],
)
def test_traceparent_valid_is_read(header: str | bytes) -> None:
    found = tracing.parse(header)
    assert found == tracing.TraceContext(TRACE, SPAN, True)
    assert found.traceparent == PARENT


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nothing",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        b"00-\xff" + PARENT.encode()[4:],
        f"cc-{TRACE}-{SPAN}-01-{'x' * 200}",
    ],
)
def test_traceparent_invalid_is_ignored(header: str | bytes | None) -> None:
    assert tracing.parse(header) is None


def test_tracing_off_carries_a_trace_on_and_records_nothing() -> None:
    with tracing.span("process", parent=tracing.parse(PARENT)) as span:
        assert tracing.current_traceparent() == PARENT
        assert tracing.exemplar() is None
        span.set("tongban.result", "new")
        with tracing.span("inner"):
            assert tracing.current_traceparent() == PARENT
    assert tracing.current() is None


def test_log_lines_carry_the_trace_that_came_in_without_opentelemetry() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    lines = {line["event"]: line for line in map(json.loads, ran.stderr.splitlines())}
    assert (lines["inside"]["trace_id"], lines["inside"]["span_id"]) == (TRACE, SPAN)
    assert "trace_id" not in lines["outside"]
