"""Carry out IPP operations on jobs (RFC 8011), whatever their encoding."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pypdf

from tongban_devstack.devices import job_store
from tongban_devstack.devices.attributes import (
    PrinterAddress,
    job_group,
    printer_group,
    requested,
)
from tongban_devstack.devices.faults import PrinterFaults
from tongban_devstack.devices.ipp.codec import Group, IppMessage
from tongban_devstack.devices.ipp.vocabulary import GroupTag, IppStatus, Operation
from tongban_devstack.devices.job_store import Job, JobKey, JobRequest, SpooledDocument, Stage
from tongban_devstack.devices.print_engine import PrintEngines
from tongban_devstack.errors import DevstackError
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.journal import SqliteJournal

PDF = "application/pdf"
_ANONYMOUS = "anonymous"
"""User of jobs without requesting-user-name."""
OCTETS = "application/octet-stream"
NAME_OCTETS = 255
"""Maximum octets of the syntax `name` (RFC 8011, section 5.1.3)."""
UNENDED = frozenset({Stage.INCOMING, Stage.QUEUED})
ENDED = frozenset(Stage) - UNENDED
WHICH_JOBS = {"not-completed": UNENDED, "completed": ENDED, "all": UNENDED | ENDED}
CHANGING = frozenset(
    {Operation.PRINT_JOB, Operation.CREATE_JOB, Operation.SEND_DOCUMENT, Operation.CANCEL_JOB}
)
"""Operations with an effect, so that a lost answer leaves its outcome open."""


class IppError(DevstackError):
    """Raised to answer with a status other than successful; the text becomes status-message."""

    def __init__(self, status: IppStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Printers:
    """All printers; one exists as soon as it is first addressed."""

    def __init__(
        self,
        *,
        journal: SqliteJournal,
        engines: PrintEngines,
        faults: FaultBoard[PrinterFaults],
        data: Path,
    ) -> None:
        self._journal = journal
        self._engines = engines
        self._faults = faults
        self._data = data
        self._operations: dict[
            int, Callable[[PrinterAddress, IppMessage], Awaitable[list[Group]]]
        ] = {
            Operation.PRINT_JOB: self._print_job,
            Operation.VALIDATE_JOB: self._validate_job,
            Operation.CREATE_JOB: self._create_job,
            Operation.SEND_DOCUMENT: self._send_document,
            Operation.CANCEL_JOB: self._cancel_job,
            Operation.GET_JOB_ATTRIBUTES: self._get_job_attributes,
            Operation.GET_JOBS: self._get_jobs,
            Operation.GET_PRINTER_ATTRIBUTES: self._get_printer_attributes,
        }

    async def execute(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        """Carry out an operation and return the groups after the operation attributes.

        Raises:
            IppError: it was not carried out.
        """
        operation = self._operations.get(request.code)
        if operation is None:
            raise IppError(IppStatus.OPERATION_NOT_SUPPORTED, f"operation 0x{request.code:04x}")
        return await operation(origin, request)

    async def forget_jobs(self, kiosk_id: str) -> None:
        """Delete a printer's history and stop its current job."""
        await self._journal.write(job_store.forget_jobs, kiosk_id)
        self._engines.drop_all(kiosk_id)

    async def _print_job(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        document = await self._spool(origin.kiosk_id, request)
        if document is None:
            raise IppError(IppStatus.BAD_REQUEST, "Print-Job comes with its document")
        asked = _job_request(request)

        def work(connection: sqlite3.Connection) -> JobKey:
            key = job_store.create_job(connection, origin.kiosk_id, asked, time.time())
            job_store.add_document(connection, key, document, last=True)
            return key

        key = await self._journal.write(work)
        self._engines.enqueue(key)
        return [self._status_of(origin, await self._job(key))]

    async def _validate_job(self, _: PrinterAddress, request: IppMessage) -> list[Group]:
        _job_request(request)
        _check_format(request)
        return []

    async def _create_job(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        asked = _job_request(request)
        key = await self._journal.write(job_store.create_job, origin.kiosk_id, asked, time.time())
        return [self._status_of(origin, await self._job(key))]

    async def _send_document(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        key = _job_key(origin, request)
        last = request.value(GroupTag.OPERATION, "last-document")
        if not isinstance(last, bool):
            raise IppError(IppStatus.BAD_REQUEST, "last-document is missing")
        if (await self._job(key)).stage is not Stage.INCOMING:
            raise IppError(IppStatus.NOT_POSSIBLE, "the job takes no more documents")
        document = await self._spool(origin.kiosk_id, request)
        if document is None and not last:
            raise IppError(IppStatus.BAD_REQUEST, "only the last document may be empty")
        added = await self._journal.write(job_store.add_document, key, document, last)
        if not added:  # another Send-Document came first, or the job was canceled meanwhile
            if document is not None:
                await asyncio.to_thread((self._data / document.file).unlink)
            raise IppError(IppStatus.NOT_POSSIBLE, "the job takes no more documents")
        if last:
            self._engines.enqueue(key)
        return [self._status_of(origin, await self._job(key))]

    async def _cancel_job(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        key = _job_key(origin, request)
        await self._job(key)
        if not await self._journal.write(job_store.cancel_job, key, time.time()):
            raise IppError(IppStatus.NOT_POSSIBLE, "the job has ended")
        self._engines.drop(key)
        return []

    async def _get_job_attributes(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        job = await self._job(_job_key(origin, request))
        return [requested(self._status_of(origin, job), request)]

    async def _get_jobs(self, origin: PrinterAddress, request: IppMessage) -> list[Group]:
        which = request.text(GroupTag.OPERATION, "which-jobs") or "not-completed"
        stages = WHICH_JOBS.get(which)
        if stages is None:
            raise IppError(IppStatus.BAD_REQUEST, f"which-jobs {which}")
        jobs = await self._journal.read(job_store.list_jobs, stages, origin.kiosk_id)
        if request.value(GroupTag.OPERATION, "my-jobs") is True:
            user = request.text(GroupTag.OPERATION, "requesting-user-name") or _ANONYMOUS
            jobs = [job for job in jobs if job.user == user]
        if stages is ENDED:
            jobs.reverse()  # newest first
        limit = request.value(GroupTag.OPERATION, "limit")
        if isinstance(limit, int):
            jobs = jobs[: max(0, limit)]
        few = ("job-uri", "job-id")
        return [requested(self._status_of(origin, job), request, few) for job in jobs]

    async def _get_printer_attributes(
        self, origin: PrinterAddress, request: IppMessage
    ) -> list[Group]:
        queued = await self._journal.read(job_store.list_jobs, UNENDED, origin.kiosk_id)
        group = printer_group(
            origin,
            condition=self._faults.of(origin.kiosk_id).state,
            printing=self._engines.current(origin.kiosk_id) is not None,
            queued=len(queued),
            pages_per_minute=self._engines.pages_per_minute,
        )
        return [requested(group, request)]

    async def _job(self, key: JobKey) -> Job:
        job = await self._journal.read(job_store.find_job, key)
        if job is None:
            raise IppError(IppStatus.NOT_FOUND, f"no job {key.job_id}")
        return job

    def _status_of(self, origin: PrinterAddress, job: Job) -> Group:
        return job_group(
            origin,
            job,
            condition=self._faults.of(origin.kiosk_id).state,
            is_current=self._engines.current(origin.kiosk_id) == job.key,
            impressions=self._engines.impressions(job.key),
        )

    async def _spool(self, kiosk_id: str, request: IppMessage) -> SpooledDocument | None:
        """Write the document to the spool; None if the message carries none."""
        _check_format(request)
        if not request.data:
            return None
        file = Path("spool", kiosk_id, f"{uuid4().hex}.pdf")
        try:
            pages = await asyncio.to_thread(_spool_pdf, self._data / file, request.data)
        except Exception as error:  # whatever its input provokes in the parser
            raise IppError(IppStatus.DOCUMENT_FORMAT_ERROR, f"not a PDF: {error}") from error
        return SpooledDocument(file, pages, len(request.data))


def _spool_pdf(file: Path, content: bytes) -> int:
    pages = len(pypdf.PdfReader(io.BytesIO(content), strict=False).pages)
    if pages == 0:
        raise ValueError("it has no pages")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return pages


def _job_key(origin: PrinterAddress, request: IppMessage) -> JobKey:
    """Return the key of the addressed job: by job-id (with the printer's address) or by job-uri."""
    job_id = request.value(GroupTag.OPERATION, "job-id")
    if isinstance(job_id, int):
        return JobKey(origin.kiosk_id, job_id)
    uri = request.text(GroupTag.OPERATION, "job-uri")
    if uri is not None and (number := uri.rpartition("/")[2]).isdecimal():
        return JobKey(origin.kiosk_id, int(number))
    raise IppError(IppStatus.BAD_REQUEST, "neither job-id nor job-uri says which job is meant")


def _job_request(request: IppMessage) -> JobRequest:
    name = request.text(GroupTag.OPERATION, "job-name")
    user = request.text(GroupTag.OPERATION, "requesting-user-name")
    asked = request.value(GroupTag.JOB, "copies")
    copies = 1 if asked is None else asked
    if not isinstance(copies, int) or not 1 <= copies <= 99:
        raise IppError(IppStatus.BAD_REQUEST, "copies is from 1 to 99")
    if max(len(each.encode()) for each in (name or "", user or "")) > NAME_OCTETS:
        raise IppError(IppStatus.VALUE_TOO_LONG, f"a name has up to {NAME_OCTETS} octets")
    return JobRequest(name or "untitled", user or _ANONYMOUS, copies)


def _check_format(request: IppMessage) -> None:
    """Accept PDF only; octet-stream means that the printer detects the format."""
    given = request.text(GroupTag.OPERATION, "document-format") or OCTETS
    sensed = not request.data or request.data.startswith(b"%PDF-")
    if given not in (PDF, OCTETS) or not sensed:
        raise IppError(IppStatus.DOCUMENT_FORMAT_NOT_SUPPORTED, f"{given}: only {PDF} is printed")
    if request.text(GroupTag.OPERATION, "compression") not in (None, "none"):
        raise IppError(IppStatus.COMPRESSION_NOT_SUPPORTED, "only compression none")
