"""Serve the desk of a signed-in lobby manager: the branch's kiosks, and what waits for whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_common.domain.status import PrintStatus, Status
from tongban_common.store import StoreUnavailableError
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import Session
from tongban_intake.live.printers import trouble_text
from tongban_intake.readmodel.record import OrderRecord, RequestRecord
from tongban_intake.services import Services
from tongban_intake.text import Text

MOST = 400
"""Newest requests of a branch among which the desk looks for what waits: some four days of a busy
branch."""


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request of the branch that is not final."""

    request_id: str
    item: str
    status: Status
    since: str


@dataclass(frozen=True, slots=True)
class WaitingSheet:
    """A print order that has not come out, or of which nobody knows whether it has."""

    request_id: str
    item: str
    kiosk_id: str
    since: str
    why: Text | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Holds all that waits, the oldest first."""

    requests: list[WaitingRequest]
    sheets: list[WaitingSheet]
    questions: list[WaitingSheet]

    @classmethod
    def of(cls, records: list[RequestRecord]) -> Desk:
        """Sort out what waits among the requests of a branch."""
        desk = cls([], [], [])
        for record in records:
            if record.projected:
                desk._add(record)
        desk.requests.sort(key=lambda each: each.since)
        desk.sheets.sort(key=lambda each: each.since)
        desk.questions.sort(key=lambda each: each.since)
        return desk

    def _add(self, record: RequestRecord) -> None:
        orders = [order for order in record.orders if not order.status.final]
        if record.status.final and not orders:
            return
        item = record.item.name
        if not record.status.final:
            since = record.last["at"]
            self.requests.append(WaitingRequest(record.request_id, item, record.status, since))
        for order in orders:
            self._add_order(order, record.request_id, item)

    def _add_order(self, order: OrderRecord, request_id: str, item: str) -> None:
        why = None
        if order.status is PrintStatus.WAITING_FOR_PRINTER:
            why = trouble_text(order.line.get("reason"))
        sheet = WaitingSheet(request_id, item, order.line["kiosk_id"], order.line["at"], why)
        asked = order.status is PrintStatus.NEEDS_CONFIRMATION
        (self.questions if asked else self.sheets).append(sheet)


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the route GET /kiosk/desk. Whoever has not signed in is led to the sign-in."""
    routes = APIRouter(prefix="/kiosk", include_in_schema=False, route_class=session.route_class())

    @routes.get("/desk")
    async def desk(request: Request) -> Response:
        kiosk = session.kiosk(request)
        if kiosk.assistant is None:
            return RedirectResponse("/kiosk/assistant", status_code=303)
        try:
            records = await services.read_model.of_branch(kiosk.branch_id, most=MOST)
        except StoreUnavailableError:
            records = None
        found = Desk.of(records or [])
        return pages.page(
            "desk.html",
            kiosk=kiosk,
            machines=_machines(services, kiosk.branch_id, found),
            desk=found,
            calls=services.help_calls.of_branch(kiosk.branch_id),
            at_kiosk=Counter(sheet.kiosk_id for sheet in found.sheets),
            readable=records is not None,
            all_read=records is not None and len(records) < MOST,
        )

    return routes


def _machines(services: Services, branch_id: str, desk: Desk) -> dict[str, Text | None]:
    """Return the trouble of each enrolled kiosk of the branch; None where none is known.

    A replica that has just started knows no troubles, but the sheets that wait tell of them.
    """
    told = {sheet.kiosk_id: sheet.why for sheet in desk.sheets if sheet.why is not None}
    return {
        kiosk_id: services.printers.trouble(kiosk_id) or told.get(kiosk_id)
        for kiosk_id, record in sorted(services.enrolled.kiosks.values.items())
        if record.valid and record.branch_id == branch_id
    }
