"""Write and read signed REST messages, with immediate answers or with receipts and callbacks."""

from __future__ import annotations

import secrets
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from yarl import URL

from tongban_ops.conformance.messages import (
    Forgery,
    ReplyContents,
    UnauthenticatedReplyError,
    WireMessage,
    WireReply,
)
from tongban_provinces.signing import (
    H_TIMESTAMP,
    WINDOW_SECONDS,
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)

_APPLICATIONS = "/applications"


class RestDialect:
    """Dialect of signed REST; a `callback_url` is sent with submissions."""

    def __init__(
        self, base: str, *, province: str, secret: str, callback_url: str | None = None
    ) -> None:
        self._base = base.rstrip("/")
        self._token = province_token(secret, province)
        self._callback = {} if callback_url is None else {"callback_url": callback_url}

    def submission(
        self,
        application: dict[str, Any],
        *,
        act_before: float,
        forgery: Forgery | None = None,
        padding: int = 0,
    ) -> WireMessage:
        """Pad with a field that the interface does not define."""
        body = self._body(application, act_before)
        if padding:
            body["padding"] = "x" * padding
        return self._message("POST", _APPLICATIONS, body, forgery)

    def look_up(self, request_id: str, *, forgery: Forgery | None = None) -> WireMessage:
        return self._message("GET", f"{_APPLICATIONS}/{request_id}", None, forgery)

    def incomplete(self, application: dict[str, Any], *, act_before: float) -> WireMessage:
        body = self._body(application, act_before)
        del body["item_code"]
        return self._message("POST", _APPLICATIONS, body)

    def elsewhere(self) -> WireMessage:
        return self._message("GET", "/no-such-route", None)

    def _body(self, application: dict[str, Any], act_before: float) -> dict[str, Any]:
        return {**application, "act_before": round(act_before * 1000), **self._callback}

    def _message(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        forgery: Forgery | None = None,
    ) -> WireMessage:
        url = URL(f"{self._base}/api/v1{path}", encoded=True)
        content = b"" if body is None else orjson.dumps(body)
        nonce = secrets.token_urlsafe(16)
        late = 2 * WINDOW_SECONDS if forgery is Forgery.STALE else 0
        another = forgery is Forgery.ALTERED_TARGET
        headers = {} if forgery is Forgery.UNSIGNED else sign_request(
            secrets.token_hex(32) if forgery is Forgery.WRONG_KEY else self._token,
            method=method,
            target=url.raw_path + "-another" if another else url.raw_path,
            body=content,
            timestamp=int(time.time()) - late,
            nonce=nonce,
        )  # fmt: skip
        if body is not None and forgery is Forgery.ALTERED_BODY:
            content = orjson.dumps({**body, "item_name": f"{body['item_name']}（改）"})
        if body is not None:
            headers["content-type"] = "application/json"
        return WireMessage(method, url, headers, content, (nonce,))

    def read(self, message: WireMessage, reply: WireReply) -> ReplyContents:
        try:
            verify_response(
                self._token,
                reply.headers,
                status=reply.status,
                body=reply.body,
                nonce=message.bound_to[0],
                now=time.time(),
            )
        except SignatureError as error:
            raise UnauthenticatedReplyError(
                f"{reply.status} that is not signed for it: {error}"
            ) from error
        contents = _object(reply.body)
        if contents is None:
            raise UnauthenticatedReplyError(f"{reply.status} whose body is no JSON object")
        receipt = contents.get("receipt")
        return ReplyContents(
            code="ok" if reply.status < 300 else str(contents.get("code", "without a code")),
            status=reply.status,
            message=str(contents.get("message", "")),
            receipt=receipt if isinstance(receipt, str) else None,
            retry_after_s=_seconds(reply.headers.get("Retry-After")),
            said_at=float(reply.headers[H_TIMESTAMP]),
        )

    def distrust(self, reply: WireReply) -> str | None:
        if reply.status not in (401, 403):
            return None
        contents = _object(reply.body) or {}
        return f"{reply.status} {contents.get('code', 'without a code')}"


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        contents = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return contents if isinstance(contents, dict) else None


def _seconds(text: str | None) -> float | None:
    """Parse a Retry-After header: seconds, or an HTTP date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - time.time())
