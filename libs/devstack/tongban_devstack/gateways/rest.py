"""Serve signed REST: translate HTTP messages to calls of a simulator, and replies back.

docs/simulated-outside.md defines the protocol.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

import orjson
from aiohttp import web
from prometheus_client import Counter
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from tongban_devstack.errors import DevstackError
from tongban_devstack.gateways.issued_documents import IssuedDocument
from tongban_devstack.gateways.simulator import (
    Code,
    ProvinceSimulator,
    ReceivedSubmission,
    SimulatorReply,
)
from tongban_devstack.outside.injected_errors import InjectedServerError
from tongban_devstack.outside.process import ConnectionCutError, cut
from tongban_provinces.authentication import SenderAuthenticator
from tongban_provinces.signing import (
    SignatureError,
    province_token,
    sign_response,
)

CALLS = Counter(
    "tongban_gateway_calls_total", "Calls by what was answered", ("province", "call", "answer")
)
BODY_LIMIT = 1 << 20
"""Maximum bytes of a request body; a larger one is answered 413 (aiohttp's limit is the same)."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~:-]{1,128}$")]
ItemCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
EpochMs = Annotated[int, Field(gt=0, strict=True)]


class _Applicant(BaseModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SubmitBody(BaseModel):
    """Body of a submission; unknown fields are ignored."""

    request_id: Identifier
    item_code: ItemCode
    item_name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: Literal["query", "handle", "print"]
    applicant: _Applicant
    form: dict[str, Any]
    act_before: EpochMs


class SupplementBody(BaseModel):
    """Body of a supplement."""

    supplement_id: Identifier
    form: dict[str, Any]
    act_before: EpochMs


class _WithdrawalBody(BaseModel):
    act_before: EpochMs


STATUS = {
    Code.OK: 200,
    Code.DUPLICATE: 409,
    Code.FINAL: 409,
    Code.NOT_AWAITED: 409,
    Code.WITHDRAWN: 409,
    Code.TOO_LATE: 408,
    Code.UNKNOWN: 404,
    Code.UNKNOWN_ITEM: 404,
    Code.THROTTLED: 429,
    Code.CLOSED: 503,
}
MESSAGES = {
    Code.DUPLICATE: "该办件已提交，请勿重复提交",
    Code.FINAL: "该办件已办结，不能撤回",
    Code.NOT_AWAITED: "该办件当前无需补正",
    Code.WITHDRAWN: "该办件已撤回",
    Code.TOO_LATE: "已超过请求有效时间，未受理",
    Code.UNKNOWN: "未查询到该办件",
    Code.UNKNOWN_ITEM: "事项编码不存在",
    Code.THROTTLED: "访问过于频繁，请稍后再试",
    Code.CLOSED: "当前为非服务时间",
}

JsonAnswer = tuple[int, dict[str, Any], dict[str, str]]
HttpAnswer = JsonAnswer | tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""
_Call = Callable[
    [ProvinceSimulator, web.Request, bytes], Awaitable[SimulatorReply | IssuedDocument]
]


def _single_values(form: Mapping[str, Any]) -> dict[str, str]:
    """Return a form's texts and numbers, which a result may repeat, cut to 200 characters each."""
    return {
        name: str(value)[:200]
        for name, value in form.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


class _RestRefusedError(DevstackError):
    """Raised to refuse a malformed or forged message without any effect."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer: HttpAnswer = status, {"code": code, "message": message}, {}


class RestFrontEnd:
    """Routes of all provinces that speak signed REST."""

    def __init__(self, simulators: Mapping[str, ProvinceSimulator], secret: str) -> None:
        self._simulators = simulators
        self._senders = {
            code: SenderAuthenticator(province_token(secret, code)) for code in simulators
        }

    def routes(self) -> list[web.RouteDef]:
        if not self._simulators:
            return []
        province = "/p/{province:" + "|".join(self._simulators) + "}"
        base = province + "/api/v1/applications"
        one = base + "/{request_id}"
        return [
            web.post(base, self._handler("submit", self._submit)),
            web.get(one, self._handler("look_up", _look_up), allow_head=False),
            web.get(one + "/documents/{name}", self._handler("fetch", _fetch), allow_head=False),
            web.post(one + "/supplements", self._handler("supplement", self._supplement)),
            web.post(one + "/withdrawal", self._handler("withdraw", _withdraw)),
            web.route("*", province + "/{rest:.*}", self._handler("other", _no_such_route)),
        ]

    async def _submit(
        self, simulator: ProvinceSimulator, _: web.Request, body: bytes
    ) -> SimulatorReply:
        return await simulator.submit(submission(parsed(SubmitBody, body)))

    async def _supplement(
        self, simulator: ProvinceSimulator, request: web.Request, body: bytes
    ) -> SimulatorReply:
        read = parsed(SupplementBody, body)
        return await simulator.supplement(
            request.match_info["request_id"], read.supplement_id, read.act_before
        )

    def _render(self, _: str, reply: SimulatorReply) -> JsonAnswer:
        """Return the answer to the call of that name."""
        return as_http(reply)

    def _handler(
        self, name: str, call: _Call
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            province = request.match_info["province"]
            simulator = self._simulators[province]

            async def answer() -> tuple[str, web.Response]:
                nonce, (status, body, headers) = await self._answer(simulator, name, request, call)
                return str(status), self._written(province, nonce, status, body, headers)

            return await answered_or_broken(simulator, name, request, answer, broken_page)

        return handle

    async def _answer(
        self, simulator: ProvinceSimulator, name: str, request: web.Request, call: _Call
    ) -> tuple[str | None, HttpAnswer]:
        """Return the nonce to sign with and the answer; no nonce if the sender was not
        authenticated."""
        sender, nonce = self._senders[simulator.province.code], None
        try:
            body = await request.read()
            nonce = sender.recognised(request, body)
            sender.take(nonce)
            reply = await call(simulator, request, body)
        except _RestRefusedError as refused:
            return nonce, refused.answer
        except SignatureError as error:
            refusal = {"code": error.code, "message": f"签名校验未通过: {error}"}
            return nonce, (401, refusal, {})
        except web.HTTPRequestEntityTooLarge:
            refusal = {"code": "too_large", "message": f"请求体超过{BODY_LIMIT}字节"}
            return None, (413, refusal, {})
        if isinstance(reply, IssuedDocument):
            return nonce, (200, reply.pdf, {})
        return nonce, self._render(name, await with_documents(simulator, reply))

    def _written(
        self,
        province: str,
        nonce: str | None,
        status: int,
        body: dict[str, Any] | bytes,
        headers: dict[str, str],
    ) -> web.Response:
        pdf = isinstance(body, bytes)
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        signature = {} if nonce is None else sign_response(
            self._senders[province].token,
            status=status,
            body=content,
            timestamp=int(time.time()),
            nonce=nonce,
        )  # fmt: skip
        return web.Response(
            status=status,
            body=content,
            content_type="application/pdf" if pdf else "application/json",
            charset=None if pdf else "utf-8",
            headers={**headers, **signature},
        )


async def with_documents(simulator: ProvinceSimulator, reply: SimulatorReply) -> SimulatorReply:
    """Add the documents of a completed application to a reply."""
    known = reply.application
    if known is None or known["state"] != "completed":
        return reply
    document = await simulator.issued_document(known["request_id"])
    if document is None:
        return reply
    return replace(reply, application={**known, "documents": [document.offered()]})


def no_such_province() -> web.RouteDef:
    """Return the last route, for unknown provinces; unsigned, since there is no token."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"code": "no_such_province", "message": "省份编码不存在"}, status=404
        )

    return web.route("*", "/p/{province}/{rest:.*}", handle)


def submission(read: SubmitBody) -> ReceivedSubmission:
    """Convert a submission's body for the simulator."""
    return ReceivedSubmission(
        read.request_id,
        read.item_code,
        read.item_name,
        read.kind,
        read.applicant.name,
        _single_values(read.form),
        read.act_before,
    )


async def _look_up(simulator: ProvinceSimulator, request: web.Request, _: bytes) -> SimulatorReply:
    return await simulator.look_up(request.match_info["request_id"])


async def _fetch(
    simulator: ProvinceSimulator, request: web.Request, _: bytes
) -> SimulatorReply | IssuedDocument:
    return await simulator.fetch(request.match_info["request_id"], request.match_info["name"])


async def _withdraw(
    simulator: ProvinceSimulator, request: web.Request, body: bytes
) -> SimulatorReply:
    read = parsed(_WithdrawalBody, body)
    return await simulator.withdraw(request.match_info["request_id"], read.act_before)


async def _no_such_route(_: ProvinceSimulator, request: web.Request, __: bytes) -> SimulatorReply:
    raise _RestRefusedError(404, "no_such_route", f"{request.method} {request.path} 不存在")


Model = TypeVar("Model", bound=BaseModel)


def parsed(model: type[Model], body: bytes) -> Model:
    """Validate a body; an error names the field by JSON Pointer."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/" + "/".join(map(str, first["loc"]))
        raise _RestRefusedError(400, "bad_request", f"{where}: {first['msg']}") from error


def as_http(reply: SimulatorReply) -> JsonAnswer:
    """Return status, body and headers for a complete reply."""
    headers: dict[str, str] = {}
    if reply.retry_after_seconds is not None:
        headers["Retry-After"] = str(reply.retry_after_seconds)
    known = reply.application or {}
    if reply.code is Code.OK:
        return 200, known, headers
    error = {"code": reply.code.value, "message": MESSAGES[reply.code], **known}
    if reply.retry_after_seconds is not None:
        error["retry_after"] = reply.retry_after_seconds  # the body is signed, headers are not
    return STATUS[reply.code], error, headers


async def answered_or_broken(
    simulator: ProvinceSimulator,
    call: str,
    request: web.Request,
    answer: Callable[[], Awaitable[tuple[str, web.Response]]],
    broken_answer: Callable[[int], web.Response],
) -> web.StreamResponse:
    """Answer a call as the province's faults allow, and count it in `CALLS`.

    Args:
        answer: returns how to count the answer, and the answer.
        broken_answer: returns the answer for the HTTP status of an injected server error.
    """
    counted = "cut"
    response: web.StreamResponse
    try:
        simulator.connect()
        counted, response = await answer()
    except ConnectionCutError:
        response = cut(request)
    except InjectedServerError as broken:
        counted, response = "broken", broken_answer(broken.status)
    CALLS.labels(simulator.province.code, call, counted).inc()
    return response


def broken_page(status: int) -> web.Response:
    """Return the answer of a proxy before the province: unsigned, no JSON, no hint about the
    effect."""
    page = f"<html><body><h1>{status}</h1><hr>nginx</body></html>"
    return web.Response(status=status, text=page, content_type="text/html")
