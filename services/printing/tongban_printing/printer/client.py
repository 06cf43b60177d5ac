"""Client of a kiosk's printer over IPP/2.0 (RFC 8010, 8011): the operations that printing needs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import aiohttp
import structlog
from pyipp import IPP
from pyipp.enums import IppOperation, IppStatus
from pyipp.exceptions import IPPError
from yarl import URL

from tongban_common.tracing import Kind, span
from tongban_common.tracing import attributes as names
from tongban_kafka import Refusal, RefusalMemory, tls
from tongban_printing.domain.orders import PrinterJob
from tongban_printing.errors import PrintingError
from tongban_printing.printer.jobs import (
    OFFLINE,
    REFUSES,
    UNKNOWN_JOB,
    UNTRUSTED,
    JobView,
    trouble,
    trouble_while_printing,
    view_of,
)

log = structlog.get_logger()

_TIMEOUT_SECONDS = 8
"""Time-out of one operation, including the transfer of a document."""
_MOST_BYTES = 1024 * 1024
"""Largest answer. A printer with a hundred jobs answers with some tens of KiB."""
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
_CHANGING = frozenset(
    {IppOperation.CREATE_JOB, IppOperation.SEND_DOCUMENT, IppOperation.CANCEL_JOB}
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ipp": 631, "ipps": 631}


class PrinterTroubleError(PrintingError):
    """Raised when the printer cannot be used now; the operation may or may not have taken
    effect."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """A text in Chinese for the person at the kiosk."""


class PrinterRefusedError(PrintingError):
    """Raised when the printer refused an operation, which took no effect."""

    def __init__(self, status: int) -> None:
        super().__init__(f"IPP status 0x{status:04x}")
        self.status = status

    @property
    def unknown_job(self) -> bool:
        """Return True if the printer knows no such job."""
        return self.status in (IppStatus.ERROR_NOT_FOUND, IppStatus.ERROR_GONE)


class OpenJob(NamedTuple):
    """A job that has not ended, from the answer to Get-Jobs."""

    job: PrinterJob
    name: str
    view: JobView


class BoundedResponse(aiohttp.ClientResponse):
    """A response of at most 1 MiB, never decompressed: pyipp reads responses without a bound."""

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            aiohttp.ClientPayloadError: the body is larger, or compressed.
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


def printer_session(connections: int, tls: ssl.SSLContext | bool = True) -> aiohttp.ClientSession:
    """Return a session for all printers, whose responses are bounded and never decompressed.

    Args:
        tls: checks the certificates of printers without a pin; True trusts the system's
            authorities.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls),
        response_class=BoundedResponse,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


class Printer:
    """Client of one printer. Every operation may raise PrinterTroubleError.

    Args:
        url: ipp, ipps, http or https.
        session: shared by all printers, from `printer_session`.
        pin: returns the only certificate that the printer may have, whoever has signed it. It is
            asked before every operation: an order is held while a pin is replaced.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        pin: Callable[[], aiohttp.Fingerprint | None] = lambda: None,
    ) -> None:
        address = URL(url)
        secure = address.scheme in ("https", "ipps")
        self.url = url
        self._pin = pin
        self._client = IPP(
            host=address.host or "",
            port=address.explicit_port or _DEFAULT_PORTS[address.scheme],
            base_path=address.path,
            tls=secure,
            session=session,
            request_timeout=_TIMEOUT_SECONDS,
        )

    async def create_job(self, name: str) -> PrinterJob:
        """Create an open job without a document, which prints nothing.

        Raises:
            PrinterRefusedError: the printer creates no job.
        """
        answer = await self._execute(IppOperation.CREATE_JOB, {"job-name": name})
        with _understanding():
            return PrinterJob(printer=self.url, job_id=answer["jobs"][0]["job-id"])

    async def send_document(self, job: PrinterJob, pdf: bytes) -> None:
        """Send a job its only document, which the printer then prints.

        The caller never repeats it: after PrinterTroubleError it queries the job.

        Raises:
            PrinterRefusedError: the printer does not print the document.
        """
        attributes = {
            "job-id": job.job_id,
            "document-format": "application/pdf",
            "last-document": True,
        }
        await self._execute(IppOperation.SEND_DOCUMENT, attributes, data=pdf)

    async def look_at(self, job: PrinterJob, name: str) -> JobView:
        """Return the state of a job.

        A job with that id and another name counts as unknown: the printer was replaced, or counts
        from 1 again.

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
        """Cancel a job. Only a later query shows if it had begun to print.

        Raises:
            PrinterRefusedError: the job has ended already, or is unknown.
        """
        await self._execute(IppOperation.CANCEL_JOB, {"job-id": job.job_id})

    async def open_jobs(self) -> list[OpenJob]:
        """Return all jobs that have not ended.

        Raises:
            PrinterRefusedError: the printer lists no jobs.
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
        """Return why the printer has stopped, in Chinese.

        Raises:
            PrinterRefusedError: the printer does not describe itself.
        """
        return trouble(await self._state_reasons())

    async def trouble_while_printing(self, *, warnings: bool) -> str | None:
        """Return what keeps the printer from going on with a job, in Chinese, or None. Printers,
        such as CUPS's `ippeveprinter`, may report a job as `processing` while they have no paper.

        Raises:
            PrinterRefusedError: the printer does not describe itself.
        """
        return trouble_while_printing(await self._state_reasons(), warnings=warnings)

    async def _state_reasons(self) -> object:
        answer = await self._execute(
            IppOperation.GET_PRINTER_ATTRIBUTES,
            {"requested-attributes": ["printer-state", "printer-state-reasons"]},
        )
        with _understanding():
            attributes = answer["printers"][0] if answer["printers"] else {}
            return attributes.get("printer-state-reasons")

    async def _execute(
        self, operation: IppOperation, attributes: dict[str, Any], *, data: bytes | None = None
    ) -> dict[str, Any]:
        message: dict[str, Any] = {
            "operation-attributes-tag": {"requesting-user-name": _USER, **attributes}
        }
        if data is not None:
            message["data"] = data
        pin = self._pin()
        # pyipp hands it to aiohttp as `ssl`, where True means the session's context.
        self._client.verify_ssl = True if pin is None else cast(Any, pin)
        try:
            # pyipp's own time-out covers only the time until the headers.
            with _traced(operation):
                async with asyncio.timeout(_TIMEOUT_SECONDS + 1):
                    answer: dict[str, Any] = await self._client.execute(operation, message)
        except IPPError as error:
            status = _ipp_status(error)
            if status is None:
                raise PrinterTroubleError(self._why_silent(error)) from error
            if status >= IppStatus.ERROR_INTERNAL:
                raise PrinterTroubleError(REFUSES) from error
            raise PrinterRefusedError(status) from error
        except MemoryError:
            raise
        except Exception as error:
            # pyipp decodes every error page as UTF-8, for example.
            raise PrinterTroubleError(OFFLINE) from error
        return answer

    def _why_silent(self, error: IPPError) -> str:
        """Return why there is no answer, in Chinese; log a certificate that is not accepted."""
        reason = _not_trusted(error)
        if reason is None:
            return OFFLINE
        _refusals.note(self.url, Refusal(reason, _LOOK_AT))
        return UNTRUSTED


def _not_trusted(error: BaseException) -> str | None:
    if any(isinstance(each, aiohttp.ServerFingerprintMismatch) for each in tls.causes(error)):
        return "the printer's certificate is not the pinned one"
    failure = tls.failure_of(error, "the printer")
    return None if failure is None else failure.reason


def _report(printer: str, refusal: Refusal) -> None:
    log.error("printer_not_trusted", printer=printer, reason=refusal.reason, look_at=refusal.names)


_LOOK_AT = ("TONGBAN_PRINTER_CA_FILE", "TONGBAN_PRINTER_PINS", "the certificate")
_refusals = RefusalMemory(_report)
"""Serves its log line alone: an order's own state says why it waits."""


def _traced(operation: IppOperation) -> AbstractContextManager[object]:
    """Return a span for the operations that change something. Questions are asked several times a
    second while a sheet is printed, and would hide them."""
    if operation not in _CHANGING:
        return nullcontext()
    name = operation.name.replace("_", "-").title()
    return span(f"IPP {name}", Kind.CLIENT, attributes={names.IPP_OPERATION: name})


def _ipp_status(error: IPPError) -> int | None:
    """Return the IPP status for which pyipp raised; None if the error was below IPP."""
    details = error.args[1] if len(error.args) > 1 else None
    status = details.get("status-code") if isinstance(details, dict) else None
    return status if type(error) is IPPError and isinstance(status, int) else None


@contextmanager
def _understanding() -> Iterator[None]:
    """Raise PrinterTroubleError for anything that an invalid answer raises while it is parsed."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise PrinterTroubleError(REFUSES) from error
