"""Printing drives CUPS's `ippeveprinter`, an IPP Everywhere printer of others' making, with and
without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.devstack.simulation_kit import pdf
from tests.integration.outside_kit import KEYS, completed, fresh_id, outside, until
from tests.integration.printing.ippeveprinter_kit import EvePrinter, eve_printer, missing
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported
from tongban_common.store import DocumentStore
from tongban_devstack.embedded.security import CertificateAuthority
from tongban_kafka import tls
from tongban_printing.printer.client import (
    Printer,
    PrinterRefusedError,
    PrinterTroubleError,
    printer_session,
)
from tongban_printing.printer.jobs import UNTRUSTED, Finding

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
NAME = "o-1/r-1/d-1/1"


@pytest.fixture(scope="module")
async def eve(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EvePrinter]:
    async with eve_printer(tmp_path_factory.mktemp("eve")) as printer:
        yield printer


@pytest.mark.parametrize("scheme", ["ipp", "ipps"])
async def test_job_of_client_is_followed_from_creation_to_paper(
    eve: EvePrinter, scheme: str
) -> None:
    trusted = tls.client_context(("the authority", eve.authority.file))
    document = pdf(1)
    async with printer_session(4, trusted) as session:
        printer = Printer(eve.url if scheme == "ipp" else eve.tls_url, session)
        job = await printer.create_job(NAME)
        assert (await printer.look_at(job, NAME)).finding is Finding.WITHOUT_DOCUMENT
        assert [(each.job, each.name) for each in await printer.open_jobs()] == [(job, NAME)]
        eve.stop("media-empty")
        await printer.send_document(job, document)

        async def without_paper() -> bool:
            return await printer.why_stopped() == "纸张用尽"

        await until(without_paper, "the printer to report that it has no paper", 30)
        assert (await printer.look_at(job, NAME)).finding is Finding.UNDER_WAY
        eve.go_on()

        async def is_out() -> bool:
            return (await printer.look_at(job, NAME)).finding is Finding.PRINTED

        await until(is_out, "the job to be completed", 30)
        assert (await printer.look_at(job, NAME)).sheets == 1
        assert document in eve.printed()
        assert await printer.open_jobs() == []


async def test_job_cancelled_before_its_document_has_printed_nothing(eve: EvePrinter) -> None:
    async with printer_session(4) as session:
        printer = Printer(eve.url, session)
        job = await printer.create_job(NAME)
        await printer.cancel(job)
        assert (await printer.look_at(job, NAME)).finding is Finding.NOTHING_PRINTED
        assert await printer.open_jobs() == []
        with pytest.raises(PrinterRefusedError):
            await printer.cancel(job)


async def test_job_of_another_number_or_name_is_unknown(eve: EvePrinter) -> None:
    async with printer_session(4) as session:
        printer = Printer(eve.url, session)
        job = await printer.create_job(NAME)
        assert (await printer.look_at(job, "o-2/r-2/d-2/1")).finding is Finding.UNKNOWN
        never = job.model_copy(update={"job_id": job.job_id + 1000})
        assert (await printer.look_at(never, NAME)).finding is Finding.UNKNOWN
        await printer.cancel(job)


async def test_certificate_of_untrusted_authority_is_refused(
    eve: EvePrinter, tmp_path: Path
) -> None:
    stranger = CertificateAuthority(tmp_path / "stranger")
    async with printer_session(4, tls.client_context(("the authority", stranger.file))) as session:
        with pytest.raises(PrinterTroubleError) as raised:
            await Printer(eve.tls_url, session).create_job(NAME)
    assert raised.value.reason == UNTRUSTED


@pytest.mark.long
async def test_printing_process_waits_for_printer_and_prints_over_tls(
    eve: EvePrinter, tmp_path: Path, store: str
) -> None:
    printer = {
        "TONGBAN_PRINTER_URL": eve.tls_url,
        "TONGBAN_PRINTER_CA_FILE": str(eve.authority.file),
    }
    async with outside(tmp_path, store, **printer) as place:
        await place.ready(place.start("printing"))
        request_id = fresh_id()

        def reports(status: PrintStatus) -> list[PrintReported]:
            said: list[PrintReported] = place.said(PrintReported, request_id)
            return [each for each in said if each.status is status]

        eve.stop("input-tray-missing")
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
        waiting = PrintStatus.WAITING_FOR_PRINTER
        await until(lambda: bool(reports(waiting)), "the order to wait for the printer", 90)
        assert [each.reason for each in reports(waiting)] == ["纸盒未装好"]
        eve.go_on()
        await until(lambda: bool(reports(PrintStatus.PRINTED)), "the report of the sheet", 90)
        [report] = reports(PrintStatus.PRINTED)
        assert report.document is not None
        document = await DocumentStore(place.store, KEYS).get(
            request_id, report.document.document_id
        )
        assert document is not None
        assert document.pdf in await asyncio.to_thread(eve.printed)
        assert await place.printed() == [], "the simulated printer got nothing"
