"""Issue tokens: to a kiosk for an assertion, to a lobby manager at a kiosk for a PIN."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tongban_intake.access.enrolment.assertion import GRANT_TYPE
from tongban_intake.access.models import AssistantSignIn, TokenRequest
from tongban_intake.access.token_client import Grant
from tongban_intake.api import examples
from tongban_intake.api import openapi as docs
from tongban_intake.api.schemas import SessionGiven, TokenGiven
from tongban_intake.http.body import read_form, read_object
from tongban_intake.http.limits import caller
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.services import services_of
from tongban_intake.submission.wording import validated
from tongban_intake.text import Text

_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 16 * 1024


router = APIRouter(prefix="/v1", tags=["signing in"])


@router.post(
    "/token",
    responses={
        200: docs.answer(TokenGiven, "A short-lived bearer token", examples.TOKEN),
        **docs.problems(*docs.TRADE),
    },
    openapi_extra={
        "security": [],
        **docs.reads(
            TokenRequest,
            {"grant_type": GRANT_TYPE, "assertion": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"},
            media_type=_FORM,
        ),
    },
)
async def trade(request: Request) -> Response:
    """Trade a kiosk's signed assertion for a bearer token (RFC 7523)."""
    services = services_of(request)
    # Limit first: verifying a signature costs more than sending one.
    services.token_rates.take(caller(request))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        raise ProblemError(Kind.MEDIA_TYPE, Text("请以表单提交", f"Send Content-Type: {_FORM}"))
    seconds = services.settings.body_seconds
    form = await read_form(request, limit=_LONGEST_FORM, seconds=seconds, max_fields=20)
    grant_type, assertion = (form.get(name, [""])[0] for name in ("grant_type", "assertion"))
    return Response(
        orjson.dumps(_grant_body(await services.token_endpoint.trade(grant_type, assertion))),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@router.post(
    "/assistants/session",
    status_code=201,
    responses={
        201: docs.answer(
            SessionGiven, "To be used instead of the kiosk's own token", examples.SESSION
        ),
        **docs.problems(*docs.SIGN_IN),
    },
    openapi_extra=docs.reads(AssistantSignIn, {"assistant_id": "lm-01", "pin": "730518"}),
)
async def sign_in(request: Request) -> Response:
    """Sign in a lobby manager (大堂经理) at this kiosk."""
    services = services_of(request)
    kiosk = services.auth.bearer(request)
    services.rates.take(kiosk.kiosk_id)
    body = await read_object(request, limit=_LONGEST_FORM, seconds=services.settings.body_seconds)
    who = validated(AssistantSignIn, body)
    grant = await services.sign_in.sign_in(kiosk, who.assistant_id, who.pin)
    return Response(
        orjson.dumps({**_grant_body(grant), "assistant": who.assistant_id}),
        status_code=201,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _grant_body(grant: Grant) -> dict[str, str | int]:
    return {
        "access_token": grant.token,
        "token_type": "Bearer",
        "expires_in": grant.expires_in,
    }
