"""Tell which software answers, for checks after a deployment."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.version import VERSION
from tongban_intake.api import examples
from tongban_intake.api import openapi as docs
from tongban_intake.api.schemas import About
from tongban_intake.problems import Kind
from tongban_intake.services import services_of

SERVICE = "tongban-intake"
router = APIRouter(prefix="/v1", tags=["about"])


@router.get(
    "/about",
    responses={
        200: docs.answer(About, "The software that answers", examples.ABOUT),
        **docs.problems(Kind.TOO_MANY),
    },
    openapi_extra={"security": []},
)
async def about(request: Request) -> Response:
    """Return the version of this replica, and whether it accepts development's secrets. Public."""
    services = services_of(request)
    services.anonymous_rates.take(request)
    body = {
        "service": SERVICE,
        "version": VERSION,
        "environment": services.settings.environment,
    }
    return Response(
        orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
