"""A kiosk's printer over IPP/2.0 (RFC 8010, 8011), by the operations that printing once needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import aiohttp
from pyipp import IPP
from pyipp.enums import IppOperation, IppStatus
from pyipp.exceptions import IPPError
from yarl import URL

from tongban_printing.errors import PrintingError
from tongban_printing.jobs import OFFLINE, REFUSES, UNKNOWN_JOB, JobView, trouble, view_of
from tongban_printing.orders import PrinterJob

_TIMEOUT_SECONDS = 8
"""For one operation, a document's transfer included."""
_MOST_BYTES = 1024 * 1024
"""Of one answer; those of a printer with a hundred jobs have some tens of KiB."""
_USER = "tongban-printing"
_JOB_ATTRIBUTES = [
    "job-id",
    "job-name",
    "job-state",
    "job-state-reasons",
    "number-of-documents",
    "job-impressions-completed",
    "time-at-processing",
]
_DEFAULT_PORTS = {"http": 80, "https": 443, "ipp": 631, "ipps": 631}


class PrinterTroubleError(PrintingError):
    """Nothing can be said or done now; whether the operation took effect is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """In Chinese, for the person in front of the kiosk."""


class PrinterRefusedError(PrintingError):
    """The printer understood and did not do it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"IPP status 0x{status:04x}")
        self.status = status

    @property
    def unknown_job(self) -> bool:
        """Whether the reason is that there is no such job."""
        return self.status in (IppStatus.ERROR_NOT_FOUND, IppStatus.ERROR_GONE)


class OpenJob(NamedTuple):
    """A job that has not ended, as Get-Jobs lists it."""

    job: PrinterJob
    name: str
    view: JobView


class BoundedResponse(aiohttp.ClientResponse):
    """An answer of at most 1 MiB, which is read as it came: pyipp reads answers whole."""

    async def read(self) -> bytes:
        """The body.

        Raises:
            aiohttp.ClientPayloadError: it is larger, or compressed.
        """
        if self._body is None:
            if self.headers.get("Content-Encoding", "identity") != "identity":
                self.close()
                raise aiohttp.ClientPayloadError("a compressed answer")
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > _MOST_BYTES:
                    self.close()
                    raise aiohttp.ClientPayloadError("an answer without end")
            self._body = bytes(body)
        return self._body


def printer_session(connections: int) -> aiohttp.ClientSession:
    """A session for all printers: answers are bounded and never unpacked."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        response_class=BoundedResponse,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


class Printer:
    """Asks one printer. Every operation may raise PrinterTrouble.

    Args:
        url: ipp, ipps, http or https.
        session: shared by all printers, from `printer_session`.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        address = URL(url)
        secure = address.scheme in ("https", "ipps")
        self.url = url
        self._client = IPP(
            host=address.host or "",
            port=address.explicit_port or _DEFAULT_PORTS[address.scheme],
            base_path=address.path,
            tls=secure,
            verify_ssl=True,
            session=session,
            request_timeout=_TIMEOUT_SECONDS,
        )

    async def create_job(self, name: str) -> PrinterJob:
        """An open job without a document, which prints nothing.

        Raises:
            PrinterRefusedError
        """
        answer = await self._execute(IppOperation.CREATE_JOB, {"job-name": name})
        with _understanding():
            return PrinterJob(printer=self.url, job_id=answer["jobs"][0]["job-id"])

    async def send_document(self, job: PrinterJob, pdf: bytes) -> None:
        """Give a job its only document; from then on it prints. Never to be repeated: after
        PrinterTrouble the job has to be asked.

        Raises:
            PrinterRefusedError
        """
        attributes = {
            "job-id": job.job_id,
            "document-format": "application/pdf",
            "last-document": True,
        }
        await self._execute(IppOperation.SEND_DOCUMENT, attributes, data=pdf)

    async def look_at(self, job: PrinterJob, name: str) -> JobView:
        """What has become of a job. One that has the number but another name is not it: the
        printer was replaced, or counts from 1 again.

        Raises:
            PrinterRefusedError: for another reason than that there is no such job.
        """
        try:
            answer = await self._execute(
                IppOperation.GET_JOB_ATTRIBUTES,
                {"job-id": job.job_id, "requested-attributes": _JOB_ATTRIBUTES},
            )
        except PrinterRefusedError as refused:
            if refused.unknown_job:
                return UNKNOWN_JOB
            raise
        with _understanding():
            attributes = answer["jobs"][0] if answer["jobs"] else {}
            if attributes.get("job-name", name) != name:
                return UNKNOWN_JOB
            return view_of(attributes)

    async def cancel(self, job: PrinterJob) -> None:
        """Ask for a job's end. Only a look at it tells whether it had begun to print.

        Raises:
            PrinterRefusedError: it has ended already, or is not known.
        """
        await self._execute(IppOperation.CANCEL_JOB, {"job-id": job.job_id})

    async def open_jobs(self) -> list[OpenJob]:
        """All jobs that have not ended.

        Raises:
            PrinterRefusedError
        """
        answer = await self._execute(
            IppOperation.GET_JOBS,
            {"which-jobs": "not-completed", "requested-attributes": _JOB_ATTRIBUTES},
        )
        with _understanding():
            return [
                OpenJob(
                    PrinterJob(printer=self.url, job_id=attributes["job-id"]),
                    str(attributes.get("job-name", "")),
                    view_of(attributes),
                )
                for attributes in answer["jobs"]
                if "job-id" in attributes
            ]

    async def why_stopped(self) -> str:
        """What is the matter, in Chinese.

        Raises:
            PrinterRefusedError
        """
        answer = await self._execute(
            IppOperation.GET_PRINTER_ATTRIBUTES,
            {"requested-attributes": ["printer-state", "printer-state-reasons"]},
        )
        with _understanding():
            attributes = answer["printers"][0] if answer["printers"] else {}
            return trouble(attributes.get("printer-state-reasons"))

    async def _execute(
        self, operation: IppOperation, attributes: dict[str, Any], *, data: bytes | None = None
    ) -> dict[str, Any]:
        message: dict[str, Any] = {
            "operation-attributes-tag": {"requesting-user-name": _USER, **attributes}
        }
        if data is not None:
            message["data"] = data
        try:
            # pyipp's own time-out ends with the headers.
            async with asyncio.timeout(_TIMEOUT_SECONDS + 1):
                answer: dict[str, Any] = await self._client.execute(operation, message)
        except IPPError as error:
            status = _ipp_status(error)
            if status is None:
                raise PrinterTroubleError(OFFLINE) from error
            if status >= IppStatus.ERROR_INTERNAL:
                raise PrinterTroubleError(REFUSES) from error
            raise PrinterRefusedError(status) from error
        except MemoryError:
            raise
        except Exception as error:
            # pyipp takes every page of an error for UTF-8, among other things.
            raise PrinterTroubleError(OFFLINE) from error
        return answer


def _ipp_status(error: IPPError) -> int | None:
    """The IPP status that pyipp raised for; None where the trouble was below IPP."""
    details = error.args[1] if len(error.args) > 1 else None
    status = details.get("status-code") if isinstance(details, dict) else None
    return status if type(error) is IPPError and isinstance(status, int) else None


@contextmanager
def _understanding() -> Iterator[None]:
    """Whatever an answer provokes in its reader is its printer's trouble, not a fault of ours."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise PrinterTroubleError(REFUSES) from error
