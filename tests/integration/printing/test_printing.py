"""Printing as a process: from completed requests to paper and reports, and faults of printers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pypdf
import pytest

from tests.integration.outside_kit import (
    CLOCK,
    KEYS,
    Outside,
    completed,
    fresh_id,
    outside,
    reprint,
    until,
)
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef, DocumentStored, PrintReported
from tongban_common.store import DocumentStore


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("printing"), store) as place:
        await place.ready(place.start("printing"))
        yield place


@pytest.fixture(autouse=True)
async def printers_in_order(place: Outside) -> AsyncIterator[None]:
    yield
    await place.mend()


async def sheets(place: Outside, request_id: str) -> list[dict[str, Any]]:
    return [row for row in await place.printed() if row["request_id"] == request_id]


async def on_paper(place: Outside, request_id: str, count: int = 1) -> list[dict[str, Any]]:
    async def out() -> bool:
        return len(await sheets(place, request_id)) >= count

    await until(out, f"{count} sheet sets of {request_id}", 60)
    return await sheets(place, request_id)


def history(place: Outside, request_id: str) -> list[tuple[int, PrintStatus]]:
    reports: list[PrintReported] = place.said(PrintReported, request_id)
    return sorted((report.seq, report.status) for report in reports)


async def reported(place: Outside, request_id: str, status: PrintStatus) -> PrintReported:
    def has() -> bool:
        return any(to is status for _, to in history(place, request_id))

    await until(has, f"{status} of {request_id}", 60)
    reports: list[PrintReported] = place.said(PrintReported, request_id)
    return next(report for report in reports if report.status is status)


async def test_a_certificate_is_made_printed_and_reported(place: Outside) -> None:
    request_id = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id, kiosk_id="k-plain"))
    [row] = await on_paper(place, request_id)
    report = await reported(place, request_id, PrintStatus.PRINTED)
    assert report.document is not None
    assert row == {
        "order_id": report.order_id,
        "request_id": request_id,
        "document_id": report.document.document_id,
        "copy": 1,
        "kiosk_id": "k-plain",
        "pages": 1,
        "count": 1,
    }
    assert (report.kiosk_id, report.branch_id, report.copy_number) == ("k-plain", "b-1", 1)
    assert report.document.title == "社会保险缴费证明"
    assert history(place, request_id) == [(1, PrintStatus.QUEUED), (2, PrintStatus.PRINTED)]
    [stored] = place.said(DocumentStored, request_id)
    assert stored.document == report.document
    kept = await DocumentStore(place.store, KEYS).get(request_id, report.document.document_id)
    assert kept is not None
    assert kept.ref == report.document
    text = pypdf.PdfReader(io.BytesIO(kept.pdf)).pages[0].extract_text()
    assert "张三丰" in text
    async with place.http.get(f"{place.devices}/printed/{report.order_id}.pdf") as reply:
        assert await reply.read() == kept.pdf


async def test_a_repeated_event_prints_nothing_more(place: Outside) -> None:
    request_id = fresh_id()
    body = completed(request_id)
    for _ in range(3):
        await place.say(topics.REQUESTS_COMPLETED, body, event_id=f"e-{request_id}")
    await on_paper(place, request_id)
    marker = fresh_id()  # of the same kiosk, so behind it
    await place.say(topics.REQUESTS_COMPLETED, completed(marker))
    await on_paper(place, marker)
    assert [row["count"] for row in await sheets(place, request_id)] == [1]
    assert len(place.said(DocumentStored, request_id)) == 1


async def test_document_not_for_paper_is_stored_and_not_printed(place: Outside) -> None:
    quiet, without = fresh_id(), fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(quiet, print=False))
    await place.say(topics.REQUESTS_COMPLETED, completed(without, template=None))
    await until(lambda: bool(place.said(DocumentStored, quiet)), "the document", 60)
    order = reprint(quiet, copy=1)
    await place.say(topics.PRINT_ORDERS, order)
    [row] = await on_paper(place, quiet)
    assert row["order_id"] == order.order_id
    assert not await sheets(place, without)
    assert not place.said(DocumentStored, without)


async def test_a_reprint_goes_to_the_kiosk_that_was_named(place: Outside) -> None:
    request_id = fresh_id()
    order = reprint(request_id, kiosk_id="k-other")
    await place.say(topics.PRINT_ORDERS, order)  # it may well be read before the completion
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    rows = await on_paper(place, request_id, count=2)
    assert {(row["kiosk_id"], row["copy"], row["count"]) for row in rows} == {
        ("k-1", 1, 1),
        ("k-other", 2, 1),
    }
    assert order.order_id in {row["order_id"] for row in rows}


async def test_document_of_the_province_is_printed_unchanged(place: Outside) -> None:
    request_id = fresh_id()
    body = completed(request_id)
    writer = pypdf.PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_blank_page(595, 842)
    buffer = io.BytesIO()
    writer.write(buffer)
    ref = DocumentRef(document_id=f"d-{request_id}", title="省级证明", pages=2, sha256="0" * 64)
    documents = DocumentStore(place.store, KEYS)
    await documents.put(request_id, ref, buffer.getvalue(), body.sealed, at=CLOCK.now())
    await place.say(topics.REQUESTS_COMPLETED, body.model_copy(update={"documents": [ref]}))
    [row] = await on_paper(place, request_id)
    assert (row["document_id"], row["pages"]) == (ref.document_id, 2)
    async with place.http.get(f"{place.devices}/printed/{row['order_id']}.pdf") as reply:
        assert await reply.read() == buffer.getvalue()


@pytest.mark.parametrize(
    ("state", "reason"), [("paper_out", "纸张用尽"), ("jam", "卡纸"), ("offline", "打印机离线")]
)
async def test_a_printer_in_trouble_holds_its_own_orders_alone(
    place: Outside, state: str, reason: str
) -> None:
    held, other = fresh_id(), fresh_id()
    await place.fault(f"printers/k-{state}", state=state)
    await place.say(topics.REQUESTS_COMPLETED, completed(held, kiosk_id=f"k-{state}"))
    report = await reported(place, held, PrintStatus.WAITING_FOR_PRINTER)
    assert report.reason == reason
    await place.say(topics.REQUESTS_COMPLETED, completed(other, kiosk_id="k-fine"))
    await on_paper(place, other)
    assert not await sheets(place, held)
    await place.mend()
    mended = asyncio.get_running_loop().time()
    [row] = await on_paper(place, held)
    assert asyncio.get_running_loop().time() - mended < 5
    assert row["count"] == 1
    await reported(place, held, PrintStatus.PRINTED)


async def test_lost_answers_never_make_a_second_sheet(place: Outside) -> None:
    await place.fault("printers/k-lossy", drop_after_accept_rate=0.5)
    requests = [fresh_id() for _ in range(12)]
    for request_id in requests:
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id, kiosk_id="k-lossy"))
    for request_id in requests:
        await on_paper(place, request_id)
    for request_id in requests:
        await reported(place, request_id, PrintStatus.PRINTED)
        assert [row["count"] for row in await sheets(place, request_id)] == [1]


async def test_a_job_that_the_printer_forgot_is_a_question_and_no_second_print(
    place: Outside,
) -> None:
    request_id, behind = fresh_id(), fresh_id()
    await place.fault("printers/k-forgets", state="paper_out")
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id, kiosk_id="k-forgets"))
    await reported(place, request_id, PrintStatus.WAITING_FOR_PRINTER)
    await place.fault("printers/k-forgets", forget_jobs=True)
    report = await reported(place, request_id, PrintStatus.NEEDS_CONFIRMATION)
    assert report.reason is not None
    assert "大堂经理" in report.reason
    await place.say(topics.REQUESTS_COMPLETED, completed(behind, kiosk_id="k-forgets"))
    await on_paper(place, behind)
    assert not await sheets(place, request_id)


async def test_order_unprinted_for_a_week_expires(place: Outside) -> None:
    request_id = fresh_id()
    old = CLOCK.now() - timedelta(days=8)
    body = completed(request_id).model_copy(update={"completed_at": old})
    await place.say(topics.REQUESTS_COMPLETED, body)
    report = await reported(place, request_id, PrintStatus.EXPIRED)
    assert report.reason == "超过7天未能打印，任务已取消"
    assert not await sheets(place, request_id)


@pytest.mark.parametrize(
    "result", [{"issuer": "没有编号"}, {"number": "1", "issuer": "x", "issued_on": 1, "facts": "x"}]
)
async def test_malformed_result_is_dead_lettered(place: Outside, result: dict[str, Any]) -> None:
    broken, behind = fresh_id(), fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(broken, result=result))
    await place.say(topics.REQUESTS_COMPLETED, completed(behind))
    await on_paper(place, behind)
    assert not place.said(DocumentStored, broken)


async def test_the_log_names_requests_and_no_people(place: Outside) -> None:
    request_id = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    await reported(place, request_id, PrintStatus.PRINTED)
    log = (place.directory / "printing-0.log").read_text()
    assert request_id in log
    for private in ("张三丰", "341126199003070011", "13800138000"):
        assert private not in log
