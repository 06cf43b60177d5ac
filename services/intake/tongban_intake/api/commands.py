"""Accept commands to a request: supplement, withdrawal, print, confirmation, rating."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.observability import request_context
from tongban_intake.api import examples
from tongban_intake.api import openapi as docs
from tongban_intake.api.examples import OrderId, RequestId
from tongban_intake.api.schemas import (
    CommandGiven,
    ConfirmationGiven,
    PrintGiven,
    RatingGiven,
)
from tongban_intake.commands.models import (
    Confirmation,
    Print,
    Rating,
    Supplement,
    Withdrawal,
)
from tongban_intake.commands.service import Command, CommandService
from tongban_intake.http.body import RequestBody, idempotency_key, read_object
from tongban_intake.services import services_of
from tongban_intake.submission.wording import validated

Wanted = TypeVar("Wanted", bound=RequestBody)

router = APIRouter(prefix="/v1/requests/{request_id}", tags=["requests"])


def _documented(
    model: type[RequestBody], example: Any, given: type[BaseModel], given_example: Any
) -> dict[str, Any]:
    return {
        "status_code": 202,
        "responses": {
            202: docs.answer(given, "Kafka has it", given_example),
            **docs.problems(*docs.COMMAND),
        },
        "openapi_extra": docs.takes(model, example),
    }


async def _handle(
    request: Request,
    request_id: str,
    kind: str,
    model: type[Wanted],
    publish: Callable[[CommandService, Command, Wanted], Awaitable[str]],
    *,
    answer: str = "command_id",
) -> Response:
    """Answer 202 with the id of the published command, under the name `answer`."""
    services = services_of(request)
    settings, commands = services.settings, services.commands
    kiosk = services.auth.bearer(request)
    services.must_be_own(kiosk, request_id)
    services.rates.take(kiosk.kiosk_id)
    key = idempotency_key(request)
    body = await read_object(request, limit=settings.body_limit, seconds=settings.body_seconds)
    wanted = validated(model, body)
    with request_context(request_id):
        command = commands.command(kiosk, request_id, kind, key, body)
        published_id = await publish(commands, command, wanted)
    return Response(
        orjson.dumps({"request_id": request_id, answer: published_id}),
        status_code=202,
        media_type="application/json",
    )


@router.post(
    "/supplements",
    **_documented(Supplement, examples.SUPPLEMENT, CommandGiven, examples.COMMAND_GIVEN),
)
async def supplement(request: Request, request_id: RequestId) -> Response:
    """Submit the supplement that the province asked for."""
    return await _handle(request, request_id, "supplement", Supplement, CommandService.supplement)


@router.post("/withdrawal", **_documented(Withdrawal, {}, CommandGiven, examples.COMMAND_GIVEN))
async def withdraw(request: Request, request_id: RequestId) -> Response:
    """Withdraw the request."""
    return await _handle(
        request,
        request_id,
        "withdrawal",
        Withdrawal,
        lambda commands, command, _: commands.withdraw(command),
    )


@router.post("/prints", **_documented(Print, {}, PrintGiven, examples.PRINT_GIVEN))
async def print_again(request: Request, request_id: RequestId) -> Response:
    """Print one more set at this kiosk."""
    return await _handle(
        request, request_id, "print", Print, CommandService.print, answer="order_id"
    )


@router.post(
    "/prints/{order_id}/confirmation",
    **_documented(
        Confirmation,
        examples.CONFIRMATION,
        ConfirmationGiven,
        examples.CONFIRMATION_GIVEN,
    ),
)
async def confirm(request: Request, request_id: RequestId, order_id: OrderId) -> Response:
    """Confirm whether the sheet came out of the printer; for a signed-in lobby manager
    (大堂经理)."""
    return await _handle(
        request,
        request_id,
        f"confirmation of {order_id}",
        Confirmation,
        lambda commands, command, wanted: commands.confirm(command, order_id, wanted),
        answer="confirmation_id",
    )


@router.post("/rating", **_documented(Rating, examples.RATING, RatingGiven, examples.RATING_GIVEN))
async def rate(request: Request, request_id: RequestId) -> Response:
    """Rate the service (好差评)."""
    return await _handle(
        request, request_id, "rating", Rating, CommandService.rate, answer="rating_id"
    )
