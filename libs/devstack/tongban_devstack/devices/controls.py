"""Serve the controls of the simulated devices: printed sheets, messages, faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tongban_devstack.devices import job_store, sms
from tongban_devstack.devices.faults import PrinterFaults, SmsFaults
from tongban_devstack.devices.ipp_front_end import KIOSK_ID
from tongban_devstack.devices.printer import Printers
from tongban_devstack.outside.faults import FaultBoard, fault_routes, json_report, problem
from tongban_devstack.outside.journal import SqliteJournal


@dataclass(kw_only=True, eq=False)
class DeviceControls:
    """Unauthenticated routes for tests and operators; the process listens on the loopback."""

    data: Path
    journal: SqliteJournal
    printers: Printers
    printer_faults: FaultBoard[PrinterFaults]
    sms_faults: FaultBoard[SmsFaults]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/printed", self._printed),
            web.get("/printed/{order_id}.pdf", self._printed_pdf),
            web.get("/messages", self._messages),
            web.get("/faults", self._get_faults),
            web.delete("/faults", self._clear_faults),
            *fault_routes(
                "/faults/printers/{kiosk_id}", self.printer_faults, _kiosk, self._forget_jobs
            ),
            *fault_routes("/faults/sms/{provider}", self.sms_faults, _provider),
        ]

    async def _printed(self, request: web.Request) -> web.Response:
        filters = map(request.query.get, ("order_id", "request_id"))
        return await json_report(self.journal, job_store.printed_json, *filters)

    async def _printed_pdf(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["order_id"]
        file = await self.journal.read(job_store.printed_file, order_id)
        if file is None:
            raise problem(web.HTTPNotFound, "Nothing was printed", f"for order {order_id}")
        return web.FileResponse(self.data / file, headers={"Content-Type": "application/pdf"})

    async def _messages(self, request: web.Request) -> web.Response:
        return await json_report(self.journal, sms.messages_json, request.query.get("request_id"))

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"printers": self.printer_faults.as_json(), "sms": self.sms_faults.as_json()}
        )

    async def _clear_faults(self, _: web.Request) -> web.Response:
        await self.printer_faults.clear()
        await self.sms_faults.clear()
        return web.Response(status=204)

    async def _forget_jobs(self, kiosk_id: str, faults: PrinterFaults) -> PrinterFaults:
        """Carry out `forget_jobs`, which is an act and is not stored."""
        if faults.forget_jobs:
            await self.printers.forget_jobs(kiosk_id)
        return faults.model_copy(update={"forget_jobs": False})


def _kiosk(request: web.Request) -> str:
    kiosk_id = request.match_info["kiosk_id"]
    if not KIOSK_ID.fullmatch(kiosk_id):
        raise problem(web.HTTPNotFound, "No kiosk can be called so", KIOSK_ID.pattern)
    return kiosk_id


def _provider(request: web.Request) -> str:
    provider = request.match_info["provider"]
    if provider not in sms.HONOURS_REFERENCE:
        known = ", ".join(sms.HONOURS_REFERENCE)
        raise problem(web.HTTPNotFound, f"There is no provider {provider}", f"known: {known}")
    return provider
