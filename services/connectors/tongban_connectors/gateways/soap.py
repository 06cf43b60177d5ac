"""Speak SOAP 1.1 with WS-Security, as older provincial platforms do.

zeep writes and reads messages by the WSDL; the process's own HTTP session carries them. zeep reads
only what is signed for this very message and valid by the schema (ADR 0010).
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import aiohttp
import zeep
from lxml import etree
from pydantic import ValidationError
from zeep.exceptions import Error as ZeepError
from zeep.proxy import AsyncServiceProxy
from zeep.wsdl import Document
from zeep.wsse.username import UsernameToken

from tongban_connectors.domain.gateway import (
    DISTRUST,
    LONGEST_WAIT_S,
    NOT_EXPRESSIBLE,
    AccessDeniedError,
    BrokenAnswerError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
    code_of,
)
from tongban_connectors.gateways.rest import http_errors, unsigned
from tongban_provinces import soap_messages
from tongban_provinces.models import GatewayAnswer, OfferedDocument
from tongban_provinces.signing import PAASID, SignatureError, province_token
from tongban_provinces.soap_envelope import (
    ENV,
    PROVINCE,
    WSA,
    Element,
    MalformedEnvelopeError,
    parts_of,
    read,
    schema,
    written,
    wsdl,
)
from tongban_provinces.soap_signature import check_answer, sign

MAX_ANSWER = 1024 * 1024
"""Longest answer in bytes: as much content as over REST, and the tags around it."""
SMALL = 16 * 1024
"""Bytes up to which an answer is parsed in the event loop; a larger one is parsed in a thread."""
PIECE = 512 * 1024
"""Bytes of a document in one answer, so that their Base64 stays within `MAX_ANSWER`."""
_T = TypeVar("_T")


class SoapGateway:
    """One province's gateway over one shared HTTP session.

    Args:
        endpoint: URL to which messages are posted.
        secret, connect_timeout_s, timeout_s, read_timeout_s: see `RestGateway`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        *,
        province: str,
        secret: str,
        connect_timeout_s: float,
        timeout_s: float,
        read_timeout_s: float | None = None,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._token = province_token(secret, province)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=connect_timeout_s, sock_read=read_timeout_s
        )
        self._client = zeep.Client(
            _document(),
            wsse=UsernameToken(PAASID, self._token, use_digest=True, zulu_timestamp=True),
            transport=_Drafts(),
            settings=zeep.Settings(raw_response=True),
        )
        self._binding = self._client.wsdl.bindings[f"{{{PROVINCE}}}ProvinceSoap"]
        self._drafts = AsyncServiceProxy(self._client, self._binding, address=endpoint)

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        """See Gateway."""
        content = soap_messages.submission(application, act_before)
        return await self._call("Submit", application["request_id"], content)

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        """See Gateway."""
        content = soap_messages.supplement(supplement_id, form, act_before)
        return await self._call("Supplement", request_id, content)

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        """See Gateway."""
        return await self._call("Withdraw", request_id, soap_messages.withdrawal(act_before))

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown:
        """See Gateway. Only a signed fault `unknown` is believed."""
        try:
            return await self._call("LookUp", request_id, {})
        except _SoapFaultError as refused:
            if refused.code == "unknown":
                return Unknown(refused.said_at)
            raise BrokenAnswerError(f"look-up refused: {refused.code}") from refused

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:
        """See Gateway. `PIECE` bytes come at once, and the rest at the end."""
        content = {"requestId": request_id, "name": document.name, "offset": start}
        try:
            piece = await self._exchange("FetchDocument", content, _piece)
        except _SoapFaultError as refused:
            raise BrokenAnswerError(f"a document was refused: {refused.code}") from refused
        if len(piece) != min(PIECE, document.size - start):
            raise BrokenAnswerError("a document of another size")
        return piece

    async def _call(
        self, operation: str, request_id: str, content: soap_messages.Words
    ) -> GatewayAnswer:
        """Make one call that is answered with the application; raises as `_exchange` does."""

        def read_answer(application: Any, said_at: float) -> GatewayAnswer:
            return _parse_answer(application, said_at, request_id)

        return await self._exchange(operation, {"requestId": request_id, **content}, read_answer)

    async def _exchange(
        self, operation: str, content: soap_messages.Words, convert: Callable[[Any, float], _T]
    ) -> _T:
        """Make one signed call; return only an answer that is signed for this very call.

        Args:
            convert: makes the result from what zeep read and the province's wall clock (Unix
                seconds); may run in another thread.

        Raises:
            GatewayDownError: no connection was made.
            RetryLaterError: closed or throttled, with a signature.
            AccessDeniedError: the gateway refuses us and not the request, with a signature.
            NotRecognisedError: the gateway takes the message for not ours, signed or not.
            GatewayRefusedError: another signed fault; or nothing was sent, since the WSDL cannot
                carry the form.
            UnclearAnswerError, BrokenAnswerError: anything else.
        """
        sent = await self._message(operation, content)
        status, raw = await self._post(sent)
        if len(raw) > MAX_ANSWER:
            raise BrokenAnswerError("an answer beyond all bounds")
        try:
            if len(raw) <= SMALL:
                return convert(*self._verified(sent, raw, _schema()))
            # Use a new validator: lxml's keep a log of errors and are not thread-safe.
            return await asyncio.to_thread(lambda: convert(*self._verified(sent, raw, schema())))
        except (MalformedEnvelopeError, SignatureError) as error:
            raise unsigned(status, f": {error}") from None

    async def _message(self, operation: str, content: soap_messages.Words) -> _Sent:
        try:
            root, headers = await self._drafts[operation](**content)
        except (ZeepError, ValueError, TypeError, RecursionError):
            # A control character, for instance. No chain: zeep's error quotes the value.
            raise GatewayRefusedError(NOT_EXPRESSIBLE) from None
        envelope = parts_of(root)
        signature = sign(envelope, self._token)
        message_id = envelope.text(WSA, "MessageID") or ""
        return _Sent(operation, message_id, signature, headers, written(root))

    async def _post(self, sent: _Sent) -> tuple[int, bytes]:
        with http_errors():
            async with self._session.post(
                self._endpoint,
                data=sent.raw,
                headers={**sent.headers, "Accept-Encoding": "identity"},
                timeout=self._timeout,
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                raw = bytearray()
                while len(raw) <= MAX_ANSWER and (more := await response.content.read(65536)):
                    raw += more
                return response.status, bytes(raw)

    def _verified(self, sent: _Sent, raw: bytes, validator: etree.XMLSchema) -> tuple[Any, float]:
        """Return the content of an answer as zeep reads it, and the province's clock at that time.

        Raises:
            MalformedEnvelopeError, SignatureError: it is not the province's answer to this message.
            GatewayError: it is, and reports no success.
        """
        envelope = read(raw)
        said_at = check_answer(
            envelope,
            self._token,
            message_id=sent.message_id,
            signature=sent.signature,
            now=time.time(),
        )
        content = envelope.content
        if content.tag == f"{{{ENV}}}Fault":
            return self._application_of_fault(content, validator, said_at), said_at
        right = content.tag == f"{{{PROVINCE}}}{sent.operation}Response"
        if not right or not validator.validate(content):
            raise BrokenAnswerError("an answer of another shape")
        return self._binding.get(sent.operation).process_reply(envelope.root), said_at

    def _application_of_fault(
        self, fault: Element, validator: etree.XMLSchema, said_at: float
    ) -> Any:
        """Return the application with which a repeat is refused.

        Raises:
            GatewayError: any other fault.
        """
        refusal = fault.find(f"detail/{{{PROVINCE}}}Refusal")
        if refusal is None or not validator.validate(refusal):
            raise BrokenAnswerError("a fault of another shape")
        detail = self._client.wsdl.types.deserialize(refusal)
        code = detail.code
        if code == "duplicate" and detail.application is not None:
            return detail.application
        if code in ("throttled", "closed"):
            after_s = max(0.1, float(detail.retryAfterSeconds or 1))
            raise RetryLaterError(code, min(after_s, LONGEST_WAIT_S[code]))
        blamed = (fault.findtext("faultcode") or "").rpartition(":")[2].partition(".")[0]
        # `replayed`: the message had arrived before, so the gateway may have acted on it.
        if code == "replayed" or blamed != "Client":
            raise UnclearAnswerError(f"fault {code_of(code)}")
        if code in DISTRUST:
            raise NotRecognisedError(code)
        if code == "too_large":  # the gateway did not read it, so it cannot know whose it was
            raise BrokenAnswerError("too_large")
        if code == "too_late":
            raise AccessDeniedError("too_late")  # clocks differ: any other would get the same
        raise _SoapFaultError(code_of(code), said_at)


def _parse_answer(application: Any, said_at: float, request_id: str) -> GatewayAnswer:
    try:
        answer = GatewayAnswer.model_validate(
            {**soap_messages.answer(application), "said_at": said_at}
        )
    except ValidationError:
        raise BrokenAnswerError("an answer of another shape") from None  # its text quotes values
    if answer.request_id != request_id:
        raise BrokenAnswerError("an answer about another request")
    return answer


def _piece(response: Any, _: float) -> bytes:
    """Return the bytes of a FetchDocumentResponse."""
    content = getattr(response, "content", None)  # a fault may bring an application instead
    if not isinstance(content, bytes):
        raise BrokenAnswerError("an answer of another shape")
    if response.mediaType != "application/pdf":
        raise BrokenAnswerError("a document of another type")
    return content


class _SoapFaultError(GatewayRefusedError):
    """A signed fault that blames the caller (`Client`)."""

    def __init__(self, code: str, said_at: float) -> None:
        super().__init__(code)
        self.said_at = said_at


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message, with what identifies its answer."""

    operation: str
    message_id: str
    signature: str
    headers: dict[str, str]
    raw: bytes


class _Drafts:
    """A transport for zeep that returns the message which zeep wrote, to be signed and sent.

    zeep's own transports are httpx and requests; and zeep would parse what they return, with
    attachments and all, before its signature was checked.
    """

    async def post_xml(
        self, _: str, envelope: Element, headers: dict[str, str]
    ) -> tuple[Element, dict[str, str]]:
        return envelope, headers


@cache
def _document() -> Document:
    """Parse the WSDL once for all provinces. It is self-contained, so zeep fetches nothing."""
    return Document(io.BytesIO(wsdl()), transport=None)  # type: ignore[arg-type]


@cache
def _schema() -> etree.XMLSchema:
    return schema()
