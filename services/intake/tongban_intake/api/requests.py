"""Accept submissions, report the state of requests and stream their events."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailableError
from tongban_intake.access.tokens import Kiosk
from tongban_intake.api import examples, view
from tongban_intake.api import openapi as docs
from tongban_intake.api.examples import RequestId
from tongban_intake.api.schemas import Accepted, RequestView, StreamEvent
from tongban_intake.http.body import idempotency_key, read_object
from tongban_intake.problems import language_of
from tongban_intake.services import Services, services_of
from tongban_intake.submission.accept import receipt
from tongban_intake.submission.checks import Submission
from tongban_intake.text import Language

_LONGEST_NUMBER = 10


router = APIRouter(prefix="/v1/requests", tags=["requests"])


@router.post(
    "",
    status_code=202,
    responses={
        202: docs.answer(Accepted, "Kafka has it", examples.ACCEPTED),
        **docs.problems(*docs.SUBMIT),
    },
    openapi_extra=docs.takes(Submission, examples.SUBMISSION),
)
async def submit(request: Request) -> Response:
    """Submit a request (办件)."""
    return await hand_in(services_of(request), request)


@router.get(
    "/{request_id}",
    responses={
        200: docs.answer(RequestView, "As far as known", examples.STATE),
        **docs.problems(*docs.READ),
    },
)
async def read(request: Request, request_id: RequestId) -> Response:
    """Read the state of a request. Never 404 after a 202, on any replica, store up or not."""
    services = services_of(request)
    kiosk = services.reader(request)
    services.must_be_own(kiosk, request_id)
    with request_context(request_id):
        body = await state_of(services, request_id, language_of(request))
    return Response(orjson.dumps(body), media_type="application/json")


@router.get(
    "/{request_id}/events",
    response_class=StreamingResponse,
    responses={
        204: {"description": "Last-Event-ID names the last event: no other will follow"},
        200: docs.streams(
            StreamEvent,
            "Server-sent events: status (with id), print, message, end",
            examples.STREAM,
        ),
        **docs.problems(*docs.READ),
    },
    openapi_extra={"parameters": [docs.LAST_EVENT_HEADER]},
)
async def events(request: Request, request_id: RequestId) -> Response:
    """Stream the events of a request: history first, then live."""
    services = services_of(request)
    kiosk = services.reader(request)
    services.must_be_own(kiosk, request_id)
    return await stream_of(services, request, kiosk, request_id)


async def hand_in(services: Services, request: Request) -> Response:
    """Accept a submission and return the 202.

    Raises:
        ProblemError: 400, 401, 403, 404, 408, 413, 415, 422, 429 or 503.
    """
    kiosk = services.auth.bearer(request)
    services.rates.take(kiosk.kiosk_id)
    key = idempotency_key(request)
    settings = services.settings
    body = await read_object(request, limit=settings.body_limit, seconds=settings.body_seconds)
    request_id, notes = await services.acceptor.accept(kiosk, key, body)
    language = language_of(request)
    headers = {"Content-Language": language, "Vary": "Accept-Language"} if notes else None
    return Response(
        receipt(request_id, notes, language, lobby_manager=kiosk.assistant is not None),
        status_code=202,
        headers=headers,
        media_type="application/json",
    )


async def stream_of(
    services: Services, request: Request, kiosk: Kiosk, request_id: str
) -> Response:
    """Return the stream of a request's events after the client's Last-Event-ID; 204 where none will
    follow. Only a 204 makes an EventSource stop reconnecting (HTML standard, 9.2.3).

    Raises:
        ProblemError: 503, too many streams are open.
    """
    services.streams.check_room(kiosk.kiosk_id)
    last = request.headers.get("last-event-id", "")
    sent = int(last) if last.isascii() and last.isdigit() and len(last) < _LONGEST_NUMBER else 0
    if sent and await services.streams.over(request_id, sent=sent, clock=services.clock):
        return Response(status_code=204)
    return StreamingResponse(
        services.streams.open(
            request_id,
            sent=sent,
            kiosk_id=kiosk.kiosk_id,
            may_watch=lambda: services.enrolled.is_valid(kiosk),
        ),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def state_of(services: Services, request_id: str, language: Language) -> view.Body:
    """Return the state of a request whose id intake has issued; it works without the store too."""
    try:
        record = await services.read_model.get(request_id)
    except StoreUnavailableError:
        record = None
    if record is None or not record.projected:
        return view.not_projected(request_id, services.recent.get(request_id), language)
    return view.full(record, services.keys, language)
