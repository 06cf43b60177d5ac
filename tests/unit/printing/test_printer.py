"""What a printer's answers below IPP come to."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.printing.kit import fresh_world
from tongban_kafka import Poison
from tongban_printing.domain.orders import PrinterJob
from tongban_printing.handler import PrintingHandler
from tongban_printing.printer.client import Printer, PrinterTroubleError, printer_session
from tongban_printing.settings import PrintingSettings


@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("body", ["服务不可用".encode("gbk"), b"", b"<html>"])
async def test_answer_that_is_not_ipp_is_printer_trouble(status: int, body: bytes) -> None:
    """A page of a printer's web server, in whatever encoding, is no reason to stop for a fault."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type="text/html")

    app = web.Application()
    app.add_routes([web.post("/ipp/print", answer)])
    async with TestServer(app) as server, printer_session(4) as session:
        printer = Printer(str(server.make_url("/ipp/print")), session)
        with pytest.raises(PrinterTroubleError):
            await printer.open_jobs()


def answer_of(*groups: tuple[int, dict[str, tuple[int, bytes]]]) -> bytes:
    """A successful IPP answer with attribute groups of one value each (RFC 8010 section 3.1)."""
    body = struct.pack(">bbhi", 2, 0, 0, 1)
    for tag, attributes in ((1, {"attributes-charset": (0x47, b"utf-8")}), *groups):
        body += bytes([tag])
        for name, (kind, value) in attributes.items():
            body += struct.pack(">bh", kind, len(name)) + name.encode()
            body += struct.pack(">h", len(value)) + value
    return body + b"\x03"


INTEGER, TEXT, ENUM, JOB = 0x21, 0x41, 0x23, 2
NUMBER = struct.pack(">i", 7)
ODD_JOBS: list[dict[str, tuple[int, bytes]]] = [
    {"job-id": (TEXT, b"seven"), "job-state": (ENUM, struct.pack(">i", 3))},
    {"job-id": (INTEGER, NUMBER)},
    {"job-id": (INTEGER, NUMBER), "job-state": (TEXT, b"pending")},
    {"job-id": (INTEGER, NUMBER), "job-state": (ENUM, struct.pack(">i", 99))},
]


@asynccontextmanager
async def printer_that_answers(
    body: bytes, *, headers: dict[str, str] | None = None
) -> AsyncIterator[Printer]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers, content_type="application/ipp")

    app = web.Application()
    app.add_routes([web.post("/ipp/print", answer)])
    async with TestServer(app) as server, printer_session(4) as session:
        yield Printer(str(server.make_url("/ipp/print")), session)


@pytest.mark.parametrize("job", ODD_JOBS)
async def test_answer_that_cannot_be_understood_is_trouble(
    job: dict[str, tuple[int, bytes]],
) -> None:
    async with printer_that_answers(answer_of((JOB, job))) as printer:
        with pytest.raises(PrinterTroubleError):
            await printer.open_jobs()
        if job["job-id"][0] == INTEGER:  # the number is not read again
            with pytest.raises(PrinterTroubleError):
                await printer.look_at(PrinterJob(printer="p", job_id=7), "name")


@pytest.mark.parametrize("job", [{}, {"job-id": (TEXT, b"seven")}])
async def test_created_job_without_a_number_is_trouble(job: dict[str, tuple[int, bytes]]) -> None:
    async with printer_that_answers(answer_of((JOB, job))) as printer:
        with pytest.raises(PrinterTroubleError):
            await printer.create_job("name")


async def test_answer_without_end_is_trouble() -> None:
    async with printer_that_answers(b"\0" * (1024 * 1024 + 1)) as printer:
        with pytest.raises(PrinterTroubleError):
            await printer.why_stopped()


async def test_compressed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(answer_of() + b"\0" * 64 * 1024 * 1024)
    headers = {"Content-Encoding": "gzip"}
    async with printer_that_answers(packed, headers=headers) as printer:
        tracemalloc.start()
        try:
            with pytest.raises(PrinterTroubleError):
                await printer.why_stopped()
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()


async def test_plain_answer_is_read() -> None:
    job = {"job-id": (INTEGER, NUMBER), "job-state": (ENUM, struct.pack(">i", 5))}
    async with printer_that_answers(answer_of((JOB, job))) as printer:
        [found] = await printer.open_jobs()
    assert found.job.job_id == 7


@pytest.mark.parametrize("kiosk_id", ["../../admin", "k-1?x=y", "k-1#", "", "k 1", "一"])
async def test_order_with_malformed_kiosk_id_is_poison(kiosk_id: str) -> None:
    quoted = PrintingSettings(environment="development").printer_of(kiosk_id)
    assert quoted.removeprefix("http://127.0.0.1:8631/ipp/print/").isascii()
    assert not set(quoted.removeprefix("http://127.0.0.1:8631/ipp/print/")) & set("/?# ")
    order = fresh_world().order.model_copy(update={"kiosk_id": kiosk_id})
    nothing = cast(Any, None)
    handler = PrintingHandler(
        maker=nothing, printables=nothing, documents=nothing, spool=nothing, spooler=nothing,
        questions=nothing, outbox=nothing, publisher=nothing,
        clock=nothing, restored=nothing,
    )  # fmt: skip
    with pytest.raises(Poison):
        await handler._spool_order(order, doubtful=False)
