"""The kiosks' printers as a client sees them over IPP, and the sheets that come out."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pypdf
import pytest
from pyipp import IPP
from pyipp.enums import IppJobState, IppOperation, IppPrinterState
from pyipp.enums import IppStatus as ClientStatus
from pyipp.exceptions import IPPConnectionError, IPPError

from tests.integration.devstack.simulation_kit import Simulation, of, pdf, simulation, until
from tongban_devstack.devices.ipp.codec import Group, IppMessage, decode, encode
from tongban_devstack.devices.ipp.vocabulary import GroupTag, IppStatus, Operation, ValueTag

MS_PER_PAGE = 50


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    env = {"TONGBAN_PRINT_MS_PER_PAGE": str(MS_PER_PAGE)}
    async with simulation("devices", tmp_path_factory.mktemp("devices"), **env) as place:
        yield place


class Kiosk:
    """A kiosk's printer of one test's own, spoken to by pyipp."""

    def __init__(self, place: Simulation) -> None:
        self.place = place
        self.kiosk_id = f"k-{uuid.uuid4().hex[:12]}"
        self.uri = f"ipp://127.0.0.1:{place.port}/ipp/print/{self.kiosk_id}"
        self.ipp = IPP(host=self.uri, session=place.http)

    async def ask(
        self, operation: IppOperation, *, data: bytes | None = None, copies: int = 1, **given: Any
    ) -> dict[str, Any]:
        attributes = {name.replace("_", "-"): value for name, value in given.items()}
        message: dict[str, Any] = {"operation-attributes-tag": attributes}
        if copies > 1:
            message["job-attributes-tag"] = {"copies": copies}
        if data is not None:
            message["data"] = data
        said: dict[str, Any] = await self.ipp.execute(operation, message)
        return said

    async def refuses(self, operation: IppOperation, **given: Any) -> ClientStatus:
        with pytest.raises(IPPError) as caught:
            await self.ask(operation, **given)
        return ClientStatus(caught.value.args[1]["status-code"])

    async def create(self, name: str | None = None) -> tuple[int, str]:
        """An open job's id and the order id in its name."""
        order_id = uuid.uuid4().hex
        said = await self.ask(IppOperation.CREATE_JOB, job_name=name or f"{order_id}/r/d/1")
        return said["jobs"][0]["job-id"], order_id

    async def send(self, job_id: int, document: bytes = b"", *, last: bool = True) -> Any:
        return await self.ask(
            IppOperation.SEND_DOCUMENT,
            job_id=job_id,
            last_document=last,
            document_format="application/pdf",
            data=document,
        )

    async def job(self, job_id: int) -> dict[str, Any]:
        said = await self.ask(IppOperation.GET_JOB_ATTRIBUTES, job_id=job_id)
        attributes: dict[str, Any] = said["jobs"][0]
        return attributes

    async def printer(self) -> dict[str, Any]:
        said = await self.ask(IppOperation.GET_PRINTER_ATTRIBUTES)
        attributes: dict[str, Any] = said["printers"][0]
        return attributes

    async def reaches(self, job_id: int, state: IppJobState) -> None:
        async def there() -> bool:
            return (await self.job(job_id))["job-state"] is state

        await until(there, f"job {job_id} to be {state.name}")

    async def fault(self, **faults: Any) -> None:
        await self.place.fault(f"printers/{self.kiosk_id}", **faults)

    async def sheets(self, **wanted: Any) -> list[dict[str, Any]]:
        return of(await self.place.get("/printed"), kiosk_id=self.kiosk_id, **wanted)


@pytest.fixture
async def kiosk(running: Simulation) -> AsyncIterator[Kiosk]:
    yield Kiosk(running)
    await running.mend()


async def test_a_sheet_comes_out_when_the_last_document_has_arrived(kiosk: Kiosk) -> None:
    order_id = uuid.uuid4().hex
    said = await kiosk.ask(IppOperation.CREATE_JOB, job_name=f"{order_id}/r-1/d-1/2")
    (created,) = said["jobs"]
    assert (created["job-id"], created["job-uri"]) == (1, f"{kiosk.uri}/1")
    assert (created["job-state"], created["job-state-reasons"]) == (
        IppJobState.PENDING,
        "job-incoming",
    )
    assert created["number-of-documents"] == 0
    document = pdf(3)
    sent = (await kiosk.send(1, document))["jobs"][0]
    assert (sent["number-of-documents"], sent["job-impressions"]) == (1, 3)
    assert await kiosk.sheets() == []
    await kiosk.reaches(1, IppJobState.COMPLETED)
    done = await kiosk.job(1)
    assert done["job-state-reasons"] == "job-completed-successfully"
    assert (done["job-impressions-completed"], done["job-name"]) == (3, f"{order_id}/r-1/d-1/2")
    assert await kiosk.sheets() == [
        {
            "order_id": order_id,
            "request_id": "r-1",
            "document_id": "d-1",
            "copy": 2,
            "kiosk_id": kiosk.kiosk_id,
            "pages": 3,
            "count": 1,
        }
    ]
    async with kiosk.place.http.get(f"{kiosk.place.url}/printed/{order_id}.pdf") as reply:
        assert (reply.status, reply.content_type) == (200, "application/pdf")
        assert await reply.read() == document
    kept = kiosk.place.directory / "printed" / kiosk.kiosk_id / f"{order_id}-2-1.pdf"
    assert kept.read_bytes() == document
    assert list((kiosk.place.directory / "spool" / kiosk.kiosk_id).iterdir()) == []


async def test_print_job_is_both_in_one(kiosk: Kiosk) -> None:
    said = await kiosk.ask(
        IppOperation.PRINT_JOB, job_name="both/r/d/1", data=pdf(), document_format="application/pdf"
    )
    await kiosk.reaches(said["jobs"][0]["job-id"], IppJobState.COMPLETED)
    assert [sheet["count"] for sheet in await kiosk.sheets()] == [1]


async def test_a_printer_does_not_deduplicate(kiosk: Kiosk) -> None:
    for _ in range(2):
        job_id, _ = await kiosk.create("twice/r/d/1")
        await kiosk.send(job_id, pdf())
        await kiosk.reaches(job_id, IppJobState.COMPLETED)
    assert [sheet["count"] for sheet in await kiosk.sheets()] == [2]
    directory = kiosk.place.directory / "printed" / kiosk.kiosk_id
    assert sorted(file.name for file in directory.iterdir()) == ["twice-1-1.pdf", "twice-1-2.pdf"]


async def test_copies_are_sets(kiosk: Kiosk) -> None:
    said = await kiosk.ask(IppOperation.PRINT_JOB, job_name="copies/r/d/1", data=pdf(2), copies=2)
    await kiosk.reaches(said["jobs"][0]["job-id"], IppJobState.COMPLETED)
    assert (await kiosk.job(1))["job-impressions-completed"] == 4
    assert [(s["pages"], s["count"]) for s in await kiosk.sheets()] == [(2, 2)]


async def test_a_job_may_have_several_documents_or_none(kiosk: Kiosk) -> None:
    job_id, order_id = await kiosk.create()
    await kiosk.send(job_id, pdf(1), last=False)
    await kiosk.send(job_id, pdf(2), last=False)
    await kiosk.send(job_id)  # only the word that there are no more
    await kiosk.reaches(job_id, IppJobState.COMPLETED)
    assert [(s["pages"], s["count"]) for s in await kiosk.sheets(order_id=order_id)] == [(3, 1)]
    empty, order_id = await kiosk.create()
    await kiosk.send(empty)
    await kiosk.reaches(empty, IppJobState.COMPLETED)
    assert await kiosk.sheets(order_id=order_id) == []


async def test_jobs_of_a_printer_come_out_in_their_order(kiosk: Kiosk) -> None:
    await kiosk.fault(state="jam")
    jobs = [await kiosk.create() for _ in range(3)]
    for job_id, _ in jobs:
        await kiosk.send(job_id, pdf(2))
    listed = (await kiosk.ask(IppOperation.GET_JOBS))["jobs"]
    assert [each["job-id"] for each in listed] == [job_id for job_id, _ in jobs]
    assert set(listed[0]) == {"job-id", "job-uri"}
    assert (await kiosk.printer())["queued-job-count"] == 3
    states = [(await kiosk.job(job_id))["job-state"] for job_id, _ in jobs]
    assert states == [IppJobState.STOPPED, IppJobState.PENDING, IppJobState.PENDING]
    await kiosk.fault(state="ok")
    await kiosk.reaches(jobs[-1][0], IppJobState.COMPLETED)
    sheets = await kiosk.sheets()
    assert {sheet["order_id"] for sheet in sheets} == {order_id for _, order_id in jobs}
    completed = await kiosk.ask(
        IppOperation.GET_JOBS, which_jobs="completed", requested_attributes=["job-id", "job-state"]
    )
    assert [each["job-id"] for each in completed["jobs"]] == [3, 2, 1]
    assert (await kiosk.ask(IppOperation.GET_JOBS))["jobs"] == []


@pytest.mark.parametrize(("state", "reason"), [("paper_out", "media-empty"), ("jam", "media-jam")])
async def test_stopped_printer_continues_when_its_trouble_is_cleared(
    kiosk: Kiosk, state: str, reason: str
) -> None:
    await kiosk.fault(state=state)
    printer = await kiosk.printer()
    assert printer["printer-state"] is IppPrinterState.STOPPED
    assert printer["printer-state-reasons"] == reason
    assert printer["printer-is-accepting-jobs"] is True
    job_id, _ = await kiosk.create()
    await kiosk.send(job_id, pdf())
    stopped = await kiosk.job(job_id)
    assert (stopped["job-state"], stopped["job-state-reasons"]) == (
        IppJobState.STOPPED,
        "printer-stopped",
    )
    assert stopped["job-printer-state-reasons"] == reason
    await kiosk.place.restart()
    assert (await kiosk.job(job_id))["job-state"] is IppJobState.STOPPED
    assert await kiosk.sheets() == []
    await kiosk.fault(state="ok")
    await kiosk.reaches(job_id, IppJobState.COMPLETED)
    assert (await kiosk.printer())["printer-state"] is IppPrinterState.IDLE
    assert [sheet["count"] for sheet in await kiosk.sheets()] == [1]


async def test_a_jam_between_two_pages_stops_a_job_that_has_begun(kiosk: Kiosk) -> None:
    job_id, _ = await kiosk.create()
    await kiosk.send(job_id, pdf(100))

    async def begun() -> bool:
        return int((await kiosk.job(job_id))["job-impressions-completed"]) > 0

    await until(begun, "a first page")
    await kiosk.fault(state="jam")
    assert (await kiosk.job(job_id))["job-state"] is IppJobState.STOPPED
    await kiosk.ask(IppOperation.CANCEL_JOB, job_id=job_id)
    assert (await kiosk.job(job_id))["job-state"] is IppJobState.CANCELED
    await kiosk.fault(state="ok")
    next_job, _ = await kiosk.create("next/r/d/1")
    await kiosk.send(next_job, pdf())
    await kiosk.reaches(next_job, IppJobState.COMPLETED)
    assert [sheet["order_id"] for sheet in await kiosk.sheets()] == ["next"]


async def test_an_offline_printer_does_not_answer_and_prints_nothing(kiosk: Kiosk) -> None:
    await kiosk.fault(state="jam")
    job_id, _ = await kiosk.create()
    await kiosk.send(job_id, pdf())
    await kiosk.fault(state="offline")
    with pytest.raises(IPPConnectionError):
        await kiosk.job(job_id)
    assert await kiosk.sheets() == []
    await kiosk.place.mend()
    await kiosk.reaches(job_id, IppJobState.COMPLETED)


async def test_request_whose_answer_is_dropped_may_have_taken_effect(kiosk: Kiosk) -> None:
    await kiosk.fault(drop_after_accept_rate=1)
    with pytest.raises(IPPConnectionError):
        await kiosk.create("dropped/r/d/1")
    (job,) = (await kiosk.ask(IppOperation.GET_JOBS, requested_attributes=["job-id", "job-name"]))[
        "jobs"
    ]
    assert job["job-name"] == "dropped/r/d/1"
    with pytest.raises(IPPConnectionError):
        await kiosk.send(job["job-id"], pdf())
    await kiosk.reaches(job["job-id"], IppJobState.COMPLETED)
    # What is refused is not accepted: the answer comes.
    with pytest.raises(IPPError, match="Unexpected printer status code"):
        await kiosk.send(job["job-id"], pdf())
    assert [sheet["count"] for sheet in await kiosk.sheets()] == [1]


async def test_printer_that_lost_its_jobs_prints_none_of_them(kiosk: Kiosk) -> None:
    printed, _ = await kiosk.create("printed/r/d/1")
    await kiosk.send(printed, pdf())
    await kiosk.reaches(printed, IppJobState.COMPLETED)
    await kiosk.fault(state="jam")
    queued, _ = await kiosk.create("queued/r/d/1")
    await kiosk.send(queued, pdf())
    incoming, _ = await kiosk.create("incoming/r/d/1")
    await kiosk.fault(forget_jobs=True)
    for job_id in (printed, queued, incoming):
        status = await kiosk.refuses(IppOperation.GET_JOB_ATTRIBUTES, job_id=job_id)
        assert status is ClientStatus.ERROR_NOT_FOUND
    assert (await kiosk.ask(IppOperation.GET_JOBS, which_jobs="all"))["jobs"] == []
    job_id, _ = await kiosk.create("after/r/d/1")
    assert job_id == incoming + 1, "a number is never given again"
    await kiosk.send(job_id, pdf())
    await kiosk.reaches(job_id, IppJobState.COMPLETED)
    orders = {sheet["order_id"] for sheet in await kiosk.sheets()}
    assert orders == {"printed", "after"}, "the ledger is not the printer's to forget"
    faults = await kiosk.place.get("/faults")
    assert faults["printers"][kiosk.kiosk_id]["forget_jobs"] is False, "an act, not a state"


async def test_a_canceled_job_does_not_come_out(kiosk: Kiosk) -> None:
    job_id, _ = await kiosk.create()
    await kiosk.ask(IppOperation.CANCEL_JOB, job_id=job_id)
    assert await kiosk.refuses(IppOperation.CANCEL_JOB, job_id=job_id) is (
        ClientStatus.ERROR_NOT_POSSIBLE
    )
    sending = {"job_id": job_id, "last_document": True, "data": pdf()}
    assert await kiosk.refuses(IppOperation.SEND_DOCUMENT, **sending) is (
        ClientStatus.ERROR_NOT_POSSIBLE
    )
    assert (await kiosk.job(job_id))["job-state"] is IppJobState.CANCELED
    assert await kiosk.sheets() == []


async def test_the_last_document_is_taken_once(kiosk: Kiosk) -> None:
    job_id, order_id = await kiosk.create()
    answers = await asyncio.gather(
        *(kiosk.send(job_id, pdf()) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    await kiosk.reaches(job_id, IppJobState.COMPLETED)
    assert [(s["pages"], s["count"]) for s in await kiosk.sheets(order_id=order_id)] == [(1, 1)]
    spool = kiosk.place.directory / "spool" / kiosk.kiosk_id
    assert list(spool.iterdir()) == []


async def test_unprintable_document_is_refused(kiosk: Kiosk) -> None:
    job_id, _ = await kiosk.create()
    sending: dict[str, Any] = {"job_id": job_id, "last_document": True}
    cases = [
        ({"document_format": "image/jpeg", "data": b"\xff\xd8"},
         ClientStatus.ERROR_DOCUMENT_FORMAT_NOT_SUPPORTED),
        ({"document_format": "application/pdf", "data": b"<html>"},
         ClientStatus.ERROR_DOCUMENT_FORMAT_NOT_SUPPORTED),
        ({"document_format": "application/pdf", "data": b"%PDF-1.7 and nothing of one"},
         ClientStatus.ERROR_DOCUMENT_FORMAT_ERROR),
    ]  # fmt: skip
    for given, status in cases:
        assert await kiosk.refuses(IppOperation.SEND_DOCUMENT, **sending, **given) is status
    bad = {"job_id": job_id, "data": pdf()}
    assert await kiosk.refuses(IppOperation.SEND_DOCUMENT, **bad) is ClientStatus.ERROR_BAD_REQUEST
    missing = {"job_id": 77, "last_document": True, "data": pdf()}
    assert (
        await kiosk.refuses(IppOperation.SEND_DOCUMENT, **missing) is ClientStatus.ERROR_NOT_FOUND
    )
    assert (await kiosk.job(job_id))["job-state-reasons"] == "job-incoming", "still open"
    await kiosk.ask(IppOperation.VALIDATE_JOB, document_format="application/pdf")
    assert await kiosk.refuses(IppOperation.VALIDATE_JOB, document_format="image/png") is (
        ClientStatus.ERROR_DOCUMENT_FORMAT_NOT_SUPPORTED
    )
    assert await kiosk.refuses(IppOperation.PAUSE_PRINTER) is (
        ClientStatus.ERROR_OPERATION_NOT_SUPPORTED
    )
    assert await kiosk.refuses(IppOperation.GET_JOBS, which_jobs="lost") is (
        ClientStatus.ERROR_BAD_REQUEST
    )


async def test_a_name_is_bounded_and_never_a_path(kiosk: Kiosk) -> None:
    assert await kiosk.refuses(IppOperation.CREATE_JOB, job_name="x" * 256) is (
        ClientStatus.ERROR_REQUEST_VALUE
    )
    for order_id in ("证" * 80, "..", "../../escape", "a\x00b"):
        job_id, _ = await kiosk.create(order_id)
        await kiosk.send(job_id, pdf())
        await kiosk.reaches(job_id, IppJobState.COMPLETED)
        assert len(await kiosk.sheets(order_id=order_id, copy=1)) == 1
    directory = kiosk.place.directory / "printed" / kiosk.kiosk_id
    assert len(list(directory.iterdir())) == 4


async def test_a_job_is_found_by_its_address_too(kiosk: Kiosk) -> None:
    job_id, _ = await kiosk.create()
    said = await kiosk.ask(
        IppOperation.GET_JOB_ATTRIBUTES,
        job_uri=f"{kiosk.uri}/{job_id}",
        requested_attributes=["job-state"],
    )
    assert said["jobs"] == [{"job-state": IppJobState.PENDING}]


async def test_pyipp_finds_a_printer_it_knows(kiosk: Kiosk) -> None:
    printer = await kiosk.ipp.printer()
    assert printer.info.printer_name == kiosk.kiosk_id
    assert printer.state.printer_state == "idle"


async def test_request_that_is_not_ipp_is_refused(running: Simulation) -> None:
    url = f"{running.url}/ipp/print/k-1"
    headers = {"Content-Type": "application/ipp"}
    async with running.http.post(url, data=b"hello") as reply:
        assert reply.status == 415
    async with running.http.post(url, data=b"hello", headers=headers) as reply:
        assert reply.status == 400
    async with running.http.post(f"{running.url}/ipp/print/.hidden", headers=headers) as reply:
        assert reply.status == 404
    # Version 3.0, and no charset at the beginning.
    for version, status in ((3, 0x0503), (2, 0x0400)):
        raw = bytes([version, 0, 0, 0x0B, 0, 0, 0, 1, 1, 3])
        async with running.http.post(url, data=raw, headers=headers) as reply:
            assert reply.status == 200
            assert int.from_bytes((await reply.read())[2:4]) == status


async def test_kills_in_the_middle_of_printing_double_and_lose_no_sheet(
    running: Simulation,
) -> None:
    kiosks = [Kiosk(running) for _ in range(4)]
    for kiosk in kiosks:
        for _ in range(3):
            job_id, _ = await kiosk.create()
            await kiosk.send(job_id, pdf(3))
    for _ in range(3):
        sheets = len(await running.get("/printed"))

        async def more(before: int = sheets) -> bool:
            return len(await running.get("/printed")) > before

        await until(more, "another sheet")
        await running.restart()
    for kiosk in kiosks:
        await kiosk.reaches(3, IppJobState.COMPLETED)
        assert [sheet["count"] for sheet in await kiosk.sheets()] == [1, 1, 1]
        directory = running.directory / "printed" / kiosk.kiosk_id
        assert [len(pypdf.PdfReader(io.BytesIO(file.read_bytes())).pages)
                for file in directory.iterdir()] == [3, 3, 3]  # fmt: skip


async def test_an_open_job_outlives_a_kill(kiosk: Kiosk) -> None:
    job_id, _ = await kiosk.create()
    await kiosk.place.restart()
    assert (await kiosk.job(job_id))["job-state-reasons"] == "job-incoming"
    await kiosk.send(job_id, pdf())
    await kiosk.reaches(job_id, IppJobState.COMPLETED)
    assert [sheet["count"] for sheet in await kiosk.sheets()] == [1]


async def test_wrong_printer_faults_are_refused(running: Simulation) -> None:
    url = f"{running.url}/faults/printers/k-1"
    async with running.http.put(url, json={"state": "on_fire"}) as reply:
        assert reply.status == 422
        said = await reply.json(content_type="application/problem+json")
    assert said["errors"][0]["pointer"] == "/state"
    assert "paper_out" in said["errors"][0]["message"]
    async with running.http.put(url, data=b"{") as reply:
        assert reply.status == 400


async def test_sigterm_during_printing_ends_the_process_at_once(running: Simulation) -> None:
    kiosk = Kiosk(running)
    await kiosk.fault(state="paper_out")
    job_id, _ = await kiosk.create()
    await kiosk.send(job_id, pdf())
    assert await running.stop() == 0
    await running.start()
    with pytest.raises(aiohttp.ClientResponseError):
        async with running.http.get(f"{running.url}/printed/nothing.pdf") as reply:
            reply.raise_for_status()
    await running.mend()
    await kiosk.reaches(job_id, IppJobState.COMPLETED)


async def test_my_jobs_lists_jobs_of_the_requesting_user(running: Simulation) -> None:
    kiosk = Kiosk(running)
    mine = await kiosk.ask(IppOperation.CREATE_JOB, requesting_user_name="me")
    await kiosk.ask(IppOperation.CREATE_JOB, requesting_user_name="other")
    said = await kiosk.ask(IppOperation.GET_JOBS, requesting_user_name="me", my_jobs=True)
    assert [job["job-id"] for job in said["jobs"]] == [mine["jobs"][0]["job-id"]]


async def test_job_that_has_been_processed_says_since_when(running: Simulation) -> None:
    kiosk = Kiosk(running)
    job_id, _ = await kiosk.create()
    assert not (await kiosk.job(job_id))["time-at-processing"]
    await kiosk.send(job_id, pdf(1))

    async def completed() -> bool:
        return (await kiosk.job(job_id))["job-state"] == IppJobState.COMPLETED

    await until(completed, "the job to end")
    assert (await kiosk.job(job_id))["time-at-processing"] >= 1


async def test_request_that_names_no_target_is_refused(running: Simulation) -> None:
    kiosk = Kiosk(running)
    group = Group(GroupTag.OPERATION)
    group.add("attributes-charset", ValueTag.CHARSET, "utf-8")
    group.add("attributes-natural-language", ValueTag.LANGUAGE, "zh-cn")
    message = IppMessage((1, 1), int(Operation.GET_PRINTER_ATTRIBUTES), 1, [group])
    url = kiosk.uri.replace("ipp://", "http://")
    headers = {"Content-Type": "application/ipp"}
    async with running.http.post(url, data=encode(message), headers=headers) as reply:
        assert decode(await reply.read()).code == IppStatus.BAD_REQUEST
