"""One request seen in its trace, through all processes and the death of one of them."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.lobby_kit import KIOSK, PATIENCE, Lobby, lobby_in
from tests.e2e.otlp_kit import Collector, SeenSpan, collector
from tongban_common.tracing.attributes import ALLOWED

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVICES = ("intake", "router", "connectors", "printing", "notify")
PROCESSES = (*SERVICES, "gateways")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def _until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not condition():
        if loop.time() > deadline:
            pytest.fail(f"in vain: {what()}")
        await asyncio.sleep(0.1)


def _names(spans: list[SeenSpan]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for span in spans:
        found.setdefault(span.service.removeprefix("tongban-"), set()).add(span.name)
    return found


def _folds(seen: Collector) -> list[SeenSpan]:
    """Return the spans in which the read model folded records of the trace. A batch of one topic
    has its name; another is "process batch"."""
    return [
        span
        for span in seen.spans
        if span.service == "tongban-intake"
        and span.name.startswith("process ")
        and TRACE in {trace for trace, _ in span.links}
    ]


def _chain(spans: list[SeenSpan], span: SeenSpan) -> list[str]:
    """Return the services and names from a span up to the caller."""
    by_id = {each.span_id: each for each in spans}
    steps = []
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        steps.append(f"{span.service.removeprefix('tongban-')} {span.name}")
    assert span.parent_id == CALLER, (span, "has no parent")
    return steps


def _logged(directory: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for file in (directory / "data" / "logs").glob("*.log"):
        lines = [line for line in file.read_text().splitlines() if line.startswith("{")]
        found.setdefault(file.stem.removesuffix("-0"), []).extend(map(json.loads, lines))
    return found


async def _submit(lobby: Lobby) -> str:
    """Hand in a request in the trace of a caller; its province answers, then the router dies."""
    item = next(item for item in lobby.catalogue if item.printable and item.province == "310000")
    body = {
        "item_code": item.code, "channel": "self_service", "print": True,
        "applicant": item.example_applicant, "form": item.example_form,
    }  # fmt: skip
    headers = {
        "Authorization": f"Bearer {await lobby.stack.token(KIOSK, 'b-310115-01')}",
        "Idempotency-Key": lobby.key(item, "complete"),
        "traceparent": f"00-{TRACE}-{CALLER}-01",
    }
    url = f"{lobby.intakes[0]}/v1/requests"
    async with lobby.http.post(url, json=body, headers=headers) as reply:
        said = await reply.json()
        assert reply.status == 202, said
    request_id: str = said["request_id"]
    return request_id


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_one_request_is_one_trace_through_all_processes_and_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector() as seen:
        for name, value in {
            "TONGBAN_TRACING": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": seen.url,
            "TONGBAN_LOG_LEVEL": "DEBUG",
        }.items():
            monkeypatch.setenv(name, value)
        async with lobby_in(tmp_path) as lobby:
            request_id = await _submit(lobby)
            await _until(
                lambda: "process requests.outcomes" in _names(seen.of(TRACE)).get("router", set()),
                lambda: _names(seen.of(TRACE)),
            )
            lobby.stack.kill("router", signal.SIGKILL)
            said = await lobby.when(request_id, "completed")
            assert [order["status"] for order in said["print_orders"]] == ["printed"], said
            await _until(
                lambda: (
                    {"send documents.printed", "IPP Send-Document"}
                    <= _names(seen.of(TRACE)).get("printing", set())
                    and "message send" in _names(seen.of(TRACE)).get("notify", set())
                    and _folds(seen)
                ),
                lambda: _names(seen.of(TRACE)),
            )
            exposed = await _exposed(lobby)
    # Everything has ended, and has exported what was left.
    _check_trace(seen, request_id)
    _check_privacy(seen, lobby)
    _check_matrix(seen, exposed, _logged(tmp_path))


async def _exposed(lobby: Lobby) -> dict[str, str]:
    found = {}
    for process in PROCESSES:
        name = process if process == "gateways" else f"{process}-0"
        found[process] = await _metrics(lobby, f"{lobby.stack._url(name)}/metrics")
    return found


async def _metrics(lobby: Lobby, url: str) -> str:
    """Return what a process exposes, as soon as it answers: the router may still be starting."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with lobby.http.get(url, headers={"Accept": OPENMETRICS}) as reply:
                    assert reply.content_type == "application/openmetrics-text"
                    return await reply.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


def _check_trace(seen: Collector, request_id: str) -> None:
    spans = seen.of(TRACE)
    assert set(_names(spans)) >= set(PROCESSES), _names(spans)
    (accepted,) = [span for span in spans if span.name == "POST /v1/requests"]
    assert (accepted.parent_id, accepted.kind) == (CALLER, "SERVER")
    (submitted,) = [span for span in spans if span.name == "send requests.submitted"]
    assert submitted.parent_id == accepted.span_id
    decided = [span for span in spans if span.name == "process requests.submitted"]
    assert {span.parent_id for span in decided} == {submitted.span_id}
    # At the province: from the router's call, through the connector, over HTTP.
    gateway = [span for span in spans if span.service == "tongban-gateways"]
    assert {span.kind for span in gateway} == {"SERVER"}
    for span in gateway:
        steps = _chain(spans, span)
        assert steps[:2] == ["connectors POST", "connectors province call"] or (
            steps[:2] == ["connectors GET", "connectors province call"]
        ), steps
        assert "router send province.310000.requests" in steps
    printed = [span for span in spans if span.name == "IPP Send-Document"]
    assert len(printed) == 1
    assert _chain(spans, printed[0])[:2] == [
        "printing process requests.completed",
        "router send requests.completed",
    ]
    (message,) = [span for span in spans if span.name == "message send"]
    assert _chain(spans, message)[0] == "notify process requests.completed"
    # A bulk write belongs to no single request: it links the records that it has folded.
    folded = _folds(seen)
    linked = {span_id for span in folded for trace, span_id in span.links if trace == TRACE}
    assert linked & {span.span_id for span in spans if span.name == "send requests.status"}
    assert {span.trace_id for span in folded}.isdisjoint({TRACE})
    about = {span.attributes.get("tongban.request_id") for span in spans}
    assert about <= {request_id, None}
    assert request_id in about


def _check_privacy(seen: Collector, lobby: Lobby) -> None:
    used = {name for span in seen.spans for name in span.attributes}
    assert used <= ALLOWED, used - ALLOWED
    item = next(item for item in lobby.catalogue if item.printable and item.province == "310000")
    applicant = item.example_applicant
    people = (applicant, applicant.get("agent", {}))
    private = [
        value
        for person in people
        for name, value in person.items()
        if name in ("name", "id_number", "phone", "email", "uscc")
    ]
    assert private
    sent = b"".join(seen.bodies)
    assert not [value for value in private if str(value).encode() in sent]


def _check_matrix(
    seen: Collector, exposed: dict[str, str], logged: dict[str, list[dict[str, Any]]]
) -> None:
    """Every process shows itself in metrics, logs and traces, and the three name each other."""
    lacking = []
    exported = {span.service.removeprefix("tongban-") for span in seen.spans}
    for process in PROCESSES:
        if "tongban_tracing_spans_total{" not in exposed[process]:
            lacking.append((process, "metric"))
        if not exposed[process].endswith("# EOF\n"):
            lacking.append((process, "OpenMetrics"))
        if process not in exported:
            lacking.append((process, "trace"))
        lines = [line for line in logged.get(process, []) if "request_id" in line]
        if not all(
            len(line.get("trace_id", "")) == 32 and len(line["span_id"]) == 16 for line in lines
        ):
            lacking.append((process, "trace_id in each line about the request"))
        if process in ("intake", "printing", "notify") and not lines:
            lacking.append((process, "log"))  # the others have nothing to say where all goes well
    assert not lacking, lacking
    with_exemplar = {process for process, text in exposed.items() if f'trace_id="{TRACE}"' in text}
    assert {"intake", "connectors"} <= with_exemplar, with_exemplar
