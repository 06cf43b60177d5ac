"""Build the envelopes of a province's answers: an application's state or a fault, signed or not."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from lxml.builder import ElementMaker

from tongban_provinces.soap_envelope import (
    ENV,
    PROVINCE,
    WSA,
    WSSE,
    WSSE11,
    WSU,
    Element,
    parts_of,
    written,
)
from tongban_provinces.soap_signature import created, sign

_ENV = ElementMaker(namespace=ENV, nsmap={"soap": ENV})
_WSA = ElementMaker(namespace=WSA, nsmap={"wsa": WSA})
_WSSE = ElementMaker(namespace=WSSE, nsmap={"wsse": WSSE})
_WSSE11 = ElementMaker(namespace=WSSE11, nsmap={"wsse11": WSSE11})
_WSU = ElementMaker(namespace=WSU, nsmap={"wsu": WSU})
_P = ElementMaker(namespace=PROVINCE, nsmap={"p": PROVINCE})
_PLAIN = ElementMaker()


class SoapAnswer:
    """An answer and its code; unsigned until `signed`."""

    def __init__(self, code: str, content: Element, action: str, status: int) -> None:
        self.code = code
        self.status = status
        self._content = content
        self._action = action
        self.raw = written(_ENV.Envelope(_ENV.Body(content)))

    def signed(self, token: str, *, relates_to: str | None, confirms: str) -> SoapAnswer:
        """Sign it as the answer to the message with that id and that SignatureValue."""
        security = _WSSE.Security(
            _WSU.Timestamp(_WSU.Created(created(time.time()))),
            _WSSE11.SignatureConfirmation(Value=confirms),
        )
        header = _ENV.Header(
            _WSA.Action(self._action),
            _WSA.MessageID(f"urn:uuid:{uuid.uuid4()}"),
            _WSA.RelatesTo(relates_to or f"{WSA}/unspecified"),
            security,
        )
        root = _ENV.Envelope(header, _ENV.Body(self._content))
        sign(parts_of(root), token)
        self.raw = written(root)
        return self

    def response(self) -> web.Response:
        """Return the HTTP response."""
        return web.Response(
            status=self.status, body=self.raw, content_type="text/xml", charset="utf-8"
        )


def answered(operation: str, application: Element) -> SoapAnswer:
    """Return the response of an operation that was carried out."""
    name = f"{operation}Response"
    return SoapAnswer("ok", _P(name, application), f"{PROVINCE}/{name}", 200)


def handed_out(media_type: str, piece: bytes) -> SoapAnswer:
    """Return the response with a piece of a document."""
    name = "FetchDocumentResponse"
    content = _P(name, _P.mediaType(media_type), _P.content(base64.b64encode(piece).decode()))
    return SoapAnswer("ok", content, f"{PROVINCE}/{name}", 200)


def fault(
    code: str,
    message: str,
    *,
    server: bool = False,
    status: int = 500,
    retry_after_seconds: int | None = None,
    application: Mapping[str, Any] | None = None,
) -> SoapAnswer:
    """Return a fault, the caller's unless `server`; SOAP 1.1 sends faults with status 500."""
    refusal = _P.Refusal(_P.code(code), _P.message(message))
    if retry_after_seconds is not None:
        refusal.append(_P.retryAfterSeconds(str(retry_after_seconds)))
    if application is not None:
        refusal.append(knows(application))
    content = _ENV.Fault(
        _PLAIN.faultcode("soap:Server" if server else "soap:Client"),
        _PLAIN.faultstring(message),
        _PLAIN.detail(refusal),
    )
    return SoapAnswer(code, content, f"{PROVINCE}/Refusal", status)


def knows(application: Mapping[str, Any]) -> Element:
    """Return an application's state as the WSDL's Application."""
    element = _P.application(
        _P.requestId(application["request_id"]), _P.state(application["state"])
    )
    if application.get("receipt") is not None:
        element.append(_P.receipt(application["receipt"]))
    element.append(_P.supplements(str(application["supplements"])))
    element.append(_P.withdrawn("true" if application["withdrawn"] else "false"))
    if "reason" in application:
        element.append(_P.reason(application["reason"]))
    if "result" in application:
        element.append(_result(application["result"]))
    for each in application.get("documents", ()):
        element.append(
            _P.document(
                _P.name(each["name"]),
                _P.title(each["title"]),
                _P.sha256(each["sha256"]),
                _P.size(str(each["size"])),
            )
        )
    return element


def _result(result: Mapping[str, Any]) -> Element:
    facts = [_P.fact(_P.label(each["label"]), _P.value(each["value"])) for each in result["facts"]]
    element = _P.result(
        _P.number(result["number"]),
        _P.issuer(result["issuer"]),
        _P.issuedOn(result["issued_on"]),
        *facts,
    )
    table = result["table"]
    if table is not None:
        rows = [_cells("row", row) for row in table["rows"]]
        element.append(_P.table(_cells("columns", table["columns"]), *rows))
    return element


def _cells(name: str, texts: list[str]) -> Element:
    return _P(name, *map(_P.cell, texts))
