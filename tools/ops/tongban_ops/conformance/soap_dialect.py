"""Write and read SOAP messages with WS-Security.

zeep drafts messages from the WSDL as it does for the connector; then the kit signs or forges them.
"""

from __future__ import annotations

import io
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import zeep
from lxml import etree
from yarl import URL
from zeep.wsdl import Document
from zeep.wsse.username import UsernameToken

from tongban_connectors.domain.gateway import DISTRUST
from tongban_ops.conformance.messages import (
    Forgery,
    ReplyContents,
    UnauthenticatedReplyError,
    WireMessage,
    WireReply,
)
from tongban_provinces import soap_messages
from tongban_provinces.signing import (
    PAASID,
    WINDOW_SECONDS,
    SignatureError,
    province_token,
)
from tongban_provinces.soap_envelope import (
    ENV,
    PROVINCE,
    WSA,
    WSU,
    Element,
    MalformedEnvelopeError,
    parts_of,
    read,
    written,
    wsdl,
)
from tongban_provinces.soap_signature import check_answer, sign

_DISTRUST = DISTRUST | {"replayed"}
_STANDARD = frozenset(
    {
        "FailedAuthentication",
        "FailedCheck",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "MessageExpired",
    }
)
"""Fault codes of WS-Security 1.1, chapter 12."""


class SoapDialect:
    """Dialect of SOAP with WS-Security."""

    def __init__(self, endpoint: str, *, province: str, secret: str) -> None:
        self._endpoint = endpoint
        self._province = province
        self._token = province_token(secret, province)
        # The WSDL is local and complete: nothing is fetched.
        document = Document(io.BytesIO(wsdl()), transport=None)  # type: ignore[arg-type]
        self._client = zeep.Client(document, transport=object())

    def submission(
        self,
        application: dict[str, Any],
        *,
        act_before: float,
        forgery: Forgery | None = None,
        padding: int = 0,
    ) -> WireMessage:
        """Pad with an additional field of the form."""
        if padding:
            form = {**application["form"], "padding": "x" * padding}
            application = {**application, "form": form}
        root = self._draft("Submit", _submit(application, act_before), forgery)
        return self._signed("Submit", root, forgery)

    def look_up(self, request_id: str, *, forgery: Forgery | None = None) -> WireMessage:
        root = self._draft("LookUp", {"requestId": request_id}, forgery)
        return self._signed("LookUp", root, forgery)

    def incomplete(self, application: dict[str, Any], *, act_before: float) -> WireMessage:
        root = self._draft("Submit", _submit(application, act_before))
        code = root.find(f".//{{{PROVINCE}}}itemCode")
        code.getparent().remove(code)
        return self._signed("Submit", root)

    def elsewhere(self) -> WireMessage:
        root = self._draft("LookUp", {"requestId": "conformance"})
        root.find(f".//{{{PROVINCE}}}LookUp").tag = f"{{{PROVINCE}}}NoSuchOperation"
        root.find(f".//{{{WSA}}}Action").text = f"{PROVINCE}/NoSuchOperation"
        return self._signed("NoSuchOperation", root)

    def _draft(
        self, operation: str, content: dict[str, Any], forgery: Forgery | None = None
    ) -> Element:
        """Draft an envelope with a UsernameToken and without a signature."""
        late = 2 * WINDOW_SECONDS if forgery is Forgery.STALE else 0
        self._client.wsse = UsernameToken(
            PAASID,
            self._key(forgery),
            use_digest=True,
            zulu_timestamp=True,
            created=datetime.fromtimestamp(int(time.time()) - late, UTC),
        )
        service = self._client.create_service(f"{{{PROVINCE}}}ProvinceSoap", self._endpoint)
        return self._client.create_message(service, operation, **content)

    def _key(self, forgery: Forgery | None) -> str:
        if forgery is Forgery.WRONG_KEY:
            return province_token(secrets.token_hex(16), self._province)
        return self._token

    def _signed(self, operation: str, root: Element, forgery: Forgery | None = None) -> WireMessage:
        envelope = parts_of(root)
        signature = ""
        if forgery is not Forgery.UNSIGNED:
            signature = sign(envelope, self._key(forgery))
        if forgery is Forgery.ALTERED_BODY:
            name = root.find(f".//{{{PROVINCE}}}itemName")
            name.text = f"{name.text}（改）"
        headers = {
            "SOAPAction": f'"{PROVINCE}/{operation}"',
            "Content-Type": "text/xml; charset=utf-8",
            "Accept-Encoding": "identity",
        }
        bound_to = (envelope.text(WSA, "MessageID") or "", signature)
        return WireMessage("POST", URL(self._endpoint), headers, written(root), bound_to)

    def read(self, message: WireMessage, reply: WireReply) -> ReplyContents:
        message_id, signature = message.bound_to
        try:
            envelope = read(reply.body)
            check_answer(
                envelope,
                self._token,
                message_id=message_id,
                signature=signature,
                now=time.time(),
            )
        except (MalformedEnvelopeError, SignatureError) as error:
            raise UnauthenticatedReplyError(
                f"{reply.status} that is not signed for it: {error}"
            ) from None
        content = envelope.content
        code = _code(content)
        # check_answer has validated it already, so it exists and is a valid time.
        created = envelope.security.findtext(f"{{{WSU}}}Timestamp/{{{WSU}}}Created") or ""
        retry_after = content.findtext(f".//{{{PROVINCE}}}retryAfterSeconds")
        return ReplyContents(
            code="ok" if code is None else code,
            status=reply.status,
            message=content.findtext(f".//{{{PROVINCE}}}message") or "",
            receipt=content.findtext(f".//{{{PROVINCE}}}receipt"),
            retry_after_s=float(retry_after) if retry_after and retry_after.isdigit() else None,
            said_at=datetime.fromisoformat(created).timestamp(),
        )

    def distrust(self, reply: WireReply) -> str | None:
        """Read a refusal, which need not be signed: the sender is unknown to the gateway."""
        if reply.status in (401, 403):
            return str(reply.status)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            root = etree.fromstring(reply.body, parser)
        except etree.XMLSyntaxError:
            return None
        fault = root.find(f".//{{{ENV}}}Fault")
        if fault is None:
            return None
        code = _code(fault)
        standard = (fault.findtext("faultcode") or "").rpartition(":")[2]
        return f"fault `{code}`" if code in _DISTRUST or standard in _STANDARD else None


def _submit(application: dict[str, Any], act_before: float) -> dict[str, Any]:
    content = soap_messages.submission(application, act_before)
    return {**content, "requestId": application["request_id"]}


def _code(content: Element) -> str | None:
    """Return the code of a fault; None if the content is no fault."""
    if content.tag != f"{{{ENV}}}Fault":
        return None
    code: str | None = content.findtext(f"detail/{{{PROVINCE}}}Refusal/{{{PROVINCE}}}code")
    return code or "without a code"
