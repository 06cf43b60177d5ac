"""Serve the page that says where paper can be printed while this kiosk's printer is in trouble."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.kiosk.rendering import Pages
from tongban_intake.kiosk.session import Session
from tongban_intake.services import Services

_MOST = 3


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the route GET /kiosk/nearby."""
    routes = APIRouter(prefix="/kiosk", include_in_schema=False, route_class=session.route_class())

    @routes.get("/nearby")
    async def nearby(request: Request) -> Response:
        kiosk = session.kiosk(request)
        working = working_kiosks(services)
        here = [
            kiosk_id
            for kiosk_id, branch_id in sorted(working.items())
            if branch_id == kiosk.branch_id and kiosk_id != kiosk.kiosk_id
        ]
        by_branch = Counter(working.values())
        return pages.page(
            "nearby.html",
            kiosk=kiosk,
            here=here,
            branches=services.branches.nearest(
                kiosk.branch_id, lambda branch_id: by_branch[branch_id], most=_MOST
            ),
        )

    return routes


def working_kiosks(services: Services) -> dict[str, str]:
    """Return the branch of each enrolled kiosk whose printer is not known to be in trouble."""
    return {
        kiosk_id: record.branch_id
        for kiosk_id, record in services.enrolled.kiosks.values.items()
        if record.valid and services.printers.trouble(kiosk_id) is None
    }
