"""Serve SOAP: translate envelopes to calls of a simulator, and replies and faults back.

docs/simulated-outside.md defines the protocol. lxml reads and writes bodies by the WSDL's schema,
not zeep, so that the simulator checks the connector independently.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from lxml import etree

from tongban_devstack.errors import DevstackError
from tongban_devstack.gateways.rest import (
    BODY_LIMIT,
    MESSAGES,
    answered_or_broken,
    broken_page,
    with_documents,
)
from tongban_devstack.gateways.simulator import (
    Code,
    ProvinceSimulator,
    ReceivedSubmission,
    SimulatorReply,
)
from tongban_devstack.gateways.soap_answers import SoapAnswer, answered, fault, handed_out, knows
from tongban_provinces.nonces import NonceMemory
from tongban_provinces.signing import PAASID, SignatureError, province_token
from tongban_provinces.soap_envelope import (
    PROVINCE,
    WSA,
    Element,
    Envelope,
    MalformedEnvelopeError,
    read,
    schema,
    wsdl,
)
from tongban_provinces.soap_signature import check_username_token, verify

_Call = Callable[[ProvinceSimulator, Element], Awaitable[SimulatorReply | SoapAnswer]]
PIECE = 512 * 1024
"""Bytes of a document in one answer, as the WSDL defines."""
_P = {"p": PROVINCE}


class _SoapRefusedError(DevstackError):
    """Raised to refuse a malformed or forged message without any effect."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SoapFrontEnd:
    """Routes of all provinces that speak SOAP."""

    def __init__(self, simulators: Mapping[str, ProvinceSimulator], secret: str) -> None:
        self._simulators = simulators
        self._tokens = {code: province_token(secret, code) for code in simulators}
        self._nonces = {code: NonceMemory() for code in simulators}
        self._schema = schema()
        self._wsdl = wsdl()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; add them before any route that matches all paths."""
        return [
            route
            for code in self._simulators
            for route in (
                web.post(f"/p/{code}/soap", self._handler(code)),
                web.get(f"/p/{code}/soap", self._describe, allow_head=False),
            )
        ]

    async def _describe(self, request: web.Request) -> web.Response:
        """Answer `?wsdl` with the address of the request."""
        if "wsdl" not in {name.lower() for name in request.query}:
            return web.Response(status=405, headers={"Allow": "POST"}, text="GET ?wsdl, or POST")
        document = etree.fromstring(self._wsdl)
        address = document.find("{*}service/{*}port/{*}address")
        address.set("location", str(request.url.with_query(None)))
        return web.Response(body=etree.tostring(document), content_type="text/xml")

    def _handler(self, province: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        simulator = self._simulators[province]

        async def handle(request: web.Request) -> web.StreamResponse:

            async def answer() -> tuple[str, web.Response]:
                made = await self._answer(simulator, request)
                return made.code, made.response()

            return await answered_or_broken(simulator, "soap", request, answer, _broken_answer)

        return handle

    async def _answer(self, simulator: ProvinceSimulator, request: web.Request) -> SoapAnswer:
        """Return the answer, signed only after the message is verified.

        An attacker who got a signed answer to a message of his own could pass it off as the answer
        to another message with the same MessageID.
        """
        token = self._tokens[simulator.province.code]
        try:
            envelope = read(await request.read())
            signature = verify(envelope, token)
            stamp = time.time()
            nonce = check_username_token(envelope, token, user=PAASID, now=stamp)
        except web.HTTPRequestEntityTooLarge:
            return fault("too_large", f"请求体超过{BODY_LIMIT}字节", status=413)
        except MalformedEnvelopeError as error:
            return fault("bad_request", f"报文格式错误: {error}")
        except SignatureError as error:
            return fault(error.code, f"签名校验未通过: {error}")
        operation = etree.QName(envelope.content).localname
        try:
            self._nonces[simulator.province.code].take(nonce, stamp)
            reply = await self._operation(envelope)(simulator, envelope.content)
        except SignatureError as error:
            answer = fault(error.code, f"签名校验未通过: {error}")
        except _SoapRefusedError as refused:
            answer = fault(refused.code, refused.message)
        else:
            if isinstance(reply, SimulatorReply):
                reply = await _as_soap(simulator, operation, reply)
            answer = reply
        return answer.signed(token, relates_to=envelope.text(WSA, "MessageID"), confirms=signature)

    def _operation(self, envelope: Envelope) -> _Call:
        content = envelope.content
        operation = content.tag.removeprefix(f"{{{PROVINCE}}}")
        if operation not in _OPERATIONS or not envelope.text(WSA, "MessageID"):
            raise _SoapRefusedError("no_such_operation", f"{operation} 不存在或缺少 MessageID")
        if envelope.text(WSA, "Action") != f"{PROVINCE}/{operation}":
            raise _SoapRefusedError("bad_request", "wsa:Action 与报文不符")
        if not self._schema.validate(content):
            first = self._schema.error_log[0]
            # Report the path and the kind of the error only: the value may be personal data. The
            # path has names where the sender uses prefixes, else positions.
            where = re.sub(r"[^/:]+:", "", first.path)
            raise _SoapRefusedError("bad_request", f"{where}: {first.type_name}")
        return _OPERATIONS[operation]


async def _submit(simulator: ProvinceSimulator, content: Element) -> SimulatorReply:
    text = _reader(content)
    return await simulator.submit(
        ReceivedSubmission(
            text("requestId"),
            text("itemCode"),
            text("itemName"),
            text("kind"),
            text("applicant/*/p:name"),
            _single_values(content),
            int(text("actBefore")),
        )
    )


async def _look_up(simulator: ProvinceSimulator, content: Element) -> SimulatorReply:
    return await simulator.look_up(_reader(content)("requestId"))


async def _supplement(simulator: ProvinceSimulator, content: Element) -> SimulatorReply:
    text = _reader(content)
    return await simulator.supplement(
        text("requestId"), text("supplementId"), int(text("actBefore"))
    )


async def _withdraw(simulator: ProvinceSimulator, content: Element) -> SimulatorReply:
    text = _reader(content)
    return await simulator.withdraw(text("requestId"), int(text("actBefore")))


async def _fetch(simulator: ProvinceSimulator, content: Element) -> SimulatorReply | SoapAnswer:
    text = _reader(content)
    document, offset = await simulator.fetch(text("requestId"), text("name")), int(text("offset"))
    if isinstance(document, SimulatorReply):
        return document
    if offset >= len(document.pdf):
        raise _SoapRefusedError("bad_request", "FetchDocument/offset: 超出文件长度")
    return handed_out("application/pdf", document.pdf[offset : offset + PIECE])


_OPERATIONS: dict[str, _Call] = {
    "Submit": _submit,
    "LookUp": _look_up,
    "Supplement": _supplement,
    "Withdraw": _withdraw,
    "FetchDocument": _fetch,
}


def _reader(content: Element) -> Callable[[str], str]:
    return lambda path: content.findtext(f"p:{path}", namespaces=_P) or ""


def _single_values(content: Element) -> dict[str, str]:
    """Return a form's texts and numbers, which a result may repeat, cut to 200 characters each."""
    fields = content.findall("p:form/p:field", namespaces=_P)
    read_fields = [_reader(field) for field in fields]
    return {
        text("name"): text("value")[:200]
        for text in read_fields
        if text("type") in ("text", "number")
    }


async def _as_soap(
    simulator: ProvinceSimulator, operation: str, bare: SimulatorReply
) -> SoapAnswer:
    reply = await with_documents(simulator, bare)
    if reply.code is Code.OK:
        return answered(operation, knows(reply.application or {}))
    return fault(
        reply.code.value,
        MESSAGES[reply.code],
        server=reply.code in (Code.THROTTLED, Code.CLOSED),
        retry_after_seconds=reply.retry_after_seconds,
        application=reply.application,
    )


def _broken_answer(status: int) -> web.Response:
    """Return the answer of a proxy or service bus before the province: unsigned, no hint about the
    effect."""
    if random.random() < 0.5:
        return broken_page(status)
    return fault("backend_error", "后端服务异常", server=True).response()
