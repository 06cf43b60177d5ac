"""The simulated SOAP front end before the books of a broken gateway, or broken itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import orjson
from aiohttp import web

from tests.integration.ops.broken_gateway import (
    PDF,
    PROVINCE,
    SECRET,
    TOKEN,
    BrokenGateway,
    Fault,
    Refusal,
    Said,
)
from tongban_devstack.gateways.simulator import Code, ReceivedSubmission, SimulatorReply
from tongban_devstack.gateways.soap import SoapFrontEnd
from tongban_devstack.gateways.soap_answers import SoapAnswer
from tongban_provinces.signing import SignatureError
from tongban_provinces.soap_envelope import DS, read, written
from tongban_provinces.soap_signature import sign, verify


class SoapFault(StrEnum):
    """What is wrong with how SOAP is spoken."""

    NONE = "nothing"
    UNSIGNED_ANSWERS = "answers are not signed"
    CONFIRMS_ANOTHER = "answers confirm another message's signature"
    HTML = "200 with a page for everything"
    TOKEN_ALONE = "the UsernameToken is looked at and the signature is not"
    REPLAYS = "a nonce can be used again"


class _Desk:
    """A desk over the books of a broken gateway, as far as a front end knows one."""

    province = SimpleNamespace(code=PROVINCE)

    def __init__(self, books: BrokenGateway) -> None:
        self._books = books

    def connect(self) -> None:
        return

    async def submit(self, call: ReceivedSubmission) -> SimulatorReply:
        body = {
            "request_id": call.request_id,
            "item_code": call.item_code,
            "kind": call.kind,
            "applicant": {"name": call.name},
            "act_before": call.act_before_ms,
        }
        return await _reply(lambda: self._books.submit(orjson.dumps(body)))

    async def look_up(self, request_id: str) -> SimulatorReply:
        return await _reply(lambda: _soon(lambda: self._books.look_up(request_id)))

    async def issued_document(self, _: str) -> None:
        """What there is the books tell themselves."""

    async def fetch(self, _: str, __: str) -> Any:
        return SimpleNamespace(pdf=PDF)

    async def supplement(self, request_id: str, *_: object) -> SimulatorReply:
        return await _reply(lambda: _soon(lambda: self._books.supplement(request_id)))

    async def withdraw(self, request_id: str, *_: object) -> SimulatorReply:
        return await _reply(lambda: _soon(lambda: self._books.withdraw(request_id)))


async def _soon(call: Callable[[], Said]) -> Said:
    return call()


async def _reply(call: Callable[[], Awaitable[Said]]) -> SimulatorReply:
    try:
        _, known = await call()
    except Refusal as refused:
        throttled = refused.code == "throttled"
        return SimulatorReply(Code(refused.code), retry_after_seconds=1 if throttled else None)
    return SimulatorReply(Code.OK, known)


class BrokenSoap(SoapFrontEnd):
    """The front end. What it does not break it does as the simulated provinces do."""

    def __init__(self, wrong: SoapFault, fault: Fault = Fault.NONE) -> None:
        desk: Any = _Desk(BrokenGateway(fault))
        super().__init__({PROVINCE: desk}, SECRET)
        self._wrong = wrong
        if wrong is SoapFault.REPLAYS:
            forgetful: Any = SimpleNamespace(take=lambda *_: None)
            self._nonces[PROVINCE] = forgetful

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(self.routes())
        return app

    async def _answer(self, desk: Any, request: Any) -> SoapAnswer:
        if self._wrong is SoapFault.TOKEN_ALONE:
            request = SimpleNamespace(read=_resigned(await request.read()))
        answer = await super()._answer(desk, request)
        match self._wrong:
            case SoapFault.UNSIGNED_ANSWERS:
                return SoapAnswer(answer.code, answer._content, answer._action, answer.status)
            case SoapFault.CONFIRMS_ANOTHER:
                about = read(await request.read()).header.findtext("{*}MessageID")
                return answer.signed(TOKEN, relates_to=about, confirms="YW5vdGhlcg==")
            case SoapFault.HTML:
                answer.raw = b"<html><body>login</body></html>"
        return answer


def _resigned(raw: bytes) -> Callable[[], Awaitable[bytes]]:
    """A message that the front end believes, whatever its signature is."""
    envelope = read(raw)
    try:
        verify(envelope, TOKEN)
    except SignatureError:
        given = envelope.security.find(f"{{{DS}}}Signature")
        if given is not None:
            envelope.security.remove(given)
        sign(envelope, TOKEN)
        raw = written(envelope.root)

    async def read_again() -> bytes:
        return raw

    return read_again
