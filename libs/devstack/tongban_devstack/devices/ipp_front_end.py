"""Serve IPP over HTTP: POST of `application/ipp` to a printer's or a job's address (RFC 8010)."""

from __future__ import annotations

import re

from aiohttp import web
from prometheus_client import Counter

from tongban_devstack.devices.attributes import PrinterAddress
from tongban_devstack.devices.faults import Condition, PrinterFaults
from tongban_devstack.devices.ipp.codec import Group, IppMessage, IppSyntaxError, decode, encode
from tongban_devstack.devices.ipp.vocabulary import GroupTag, IppStatus, Operation, ValueTag
from tongban_devstack.devices.printer import CHANGING, IppError, Printers
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.process import cut

OPERATIONS = Counter(
    "tongban_printer_operations_total", "IPP operations by status", ("operation", "status")
)
BODY_LIMIT = 32 << 20
"""Maximum bytes of one message with its document."""
KIOSK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class IppFrontEnd:
    """Routes under /ipp/print."""

    def __init__(self, printers: Printers, faults: FaultBoard[PrinterFaults]) -> None:
        self._printers = printers
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/ipp/print/{kiosk_id}", self._post),
            web.post("/ipp/print/{kiosk_id}/{job_id}", self._post),
        ]

    async def _post(self, request: web.Request) -> web.StreamResponse:
        kiosk_id = request.match_info["kiosk_id"]
        if not KIOSK_ID.fullmatch(kiosk_id):
            raise web.HTTPNotFound(text=f"no kiosk can be called {kiosk_id!r}")
        faults = self._faults.of(kiosk_id)
        if faults.state is Condition.OFFLINE:
            return cut(request)
        if request.content_type != "application/ipp":
            raise web.HTTPUnsupportedMediaType(text="send application/ipp")
        raw = await _read(request)
        try:
            message = decode(raw)
        except IppSyntaxError as error:
            raise web.HTTPBadRequest(text=f"not an IPP message: {error}") from error
        response, carried_out = await self._respond(PrinterAddress(kiosk_id, request.host), message)
        OPERATIONS.labels(_operation_name(message.code), _status_name(response.code)).inc()
        if carried_out and message.code in CHANGING and faults.drops():
            return cut(request)
        return web.Response(body=encode(response), content_type="application/ipp")

    async def _respond(
        self, origin: PrinterAddress, request: IppMessage
    ) -> tuple[IppMessage, bool]:
        try:
            _check_envelope(request)
            groups = await self._printers.execute(origin, request)
        except IppError as error:
            operation = _operation_group().add("status-message", ValueTag.TEXT, str(error)[:255])
            return self._message(request, error.status, [operation]), False
        return self._message(request, IppStatus.OK, [_operation_group(), *groups]), True

    @staticmethod
    def _message(request: IppMessage, status: IppStatus, groups: list[Group]) -> IppMessage:
        version = request.version if request.version in ((1, 1), (2, 0)) else (2, 0)
        filled = [group for group in groups if group.attributes]
        return IppMessage(version, int(status), request.request_id, filled)


def _operation_group() -> Group:
    group = Group(GroupTag.OPERATION)
    group.add("attributes-charset", ValueTag.CHARSET, "utf-8")
    return group.add("attributes-natural-language", ValueTag.LANGUAGE, "zh-cn")


def _check_envelope(request: IppMessage) -> None:
    """Check what RFC 8011, section 4.1, requires of every request."""
    if request.version[0] not in (1, 2):
        raise IppError(IppStatus.VERSION_NOT_SUPPORTED, "IPP 1.1 and 2.0 are spoken here")
    if request.request_id <= 0:
        raise IppError(IppStatus.BAD_REQUEST, "request-id is from 1")
    first = request.groups[0] if request.groups else Group(GroupTag.END)
    names = list(first.attributes)[:2]
    if first.tag != GroupTag.OPERATION or names != [
        "attributes-charset",
        "attributes-natural-language",
    ]:
        raise IppError(
            IppStatus.BAD_REQUEST, "attributes-charset and attributes-natural-language come first"
        )
    if not first.attributes.keys() & {"printer-uri", "job-uri"}:
        raise IppError(IppStatus.BAD_REQUEST, "printer-uri or job-uri names the target")
    charset = request.text(GroupTag.OPERATION, "attributes-charset") or "none"
    if charset.lower() not in ("utf-8", "us-ascii"):
        raise IppError(IppStatus.CHARSET_NOT_SUPPORTED, f"charset {charset}")


async def _read(request: web.Request) -> bytes:
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > BODY_LIMIT:
            raise web.HTTPRequestEntityTooLarge(max_size=BODY_LIMIT, actual_size=len(parts))
    return bytes(parts)


def _operation_name(code: int) -> str:
    try:
        return Operation(code).name.lower()
    except ValueError:
        return "unknown"


def _status_name(code: int) -> str:
    return IppStatus(code).name.lower()
