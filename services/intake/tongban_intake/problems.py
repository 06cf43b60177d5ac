"""Report errors as problem details (RFC 9457).

Beside the standard's members a body may have `errors`, one `{pointer, message}` for each wrong
field; the pointer is a JSON Pointer (RFC 6901) into the request's body. No message repeats a value
that the client sent, because it may be personal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tongban_common.envelope import KeyMissingError, UnreadableEnvelopeError
from tongban_intake.errors import IntakeError
from tongban_intake.text import Language, Text, preferred

MEDIA_TYPE = "application/problem+json"


class Kind(Enum):
    """Lists the types of problems, each with the slug of its type URI, its HTTP status and its
    title."""

    MALFORMED = ("malformed", 400, Text("请求格式有误", "The request is malformed"))
    UNAUTHENTICATED = ("unauthenticated", 401, Text("请先登录终端", "A valid token is needed"))
    FORBIDDEN = ("forbidden", 403, Text("无权查看或办理", "Not allowed"))
    NOT_FOUND = ("not-found", 404, Text("没有找到", "Not found"))
    METHOD = ("method-not-allowed", 405, Text("不支持这种操作", "Method not allowed"))
    SLOW = ("too-slow", 408, Text("数据接收超时", "The body did not arrive in time"))
    CONFLICT = ("conflict", 409, Text("当前状态不能办理", "The request's state forbids it"))
    GONE = ("gone", 410, Text("内容已按期销毁", "Destroyed, as its time was over"))
    TOO_LARGE = ("too-large", 413, Text("提交内容过大", "The body is too large"))
    MEDIA_TYPE = ("media-type", 415, Text("仅接受JSON格式", "Only JSON is accepted"))
    INVALID = ("invalid", 422, Text("填写内容有误，请检查", "Something is not filled in right"))
    KEY_REUSED = (
        "idempotency-key-reused",
        422,
        Text("同一提交编号已用于其他内容", "The Idempotency-Key was used with another body"),
    )
    TOO_MANY = ("too-many", 429, Text("操作过于频繁，请稍候", "Too many requests"))
    INTERNAL = ("internal", 500, Text("系统出现故障，请稍后重试", "Something broke on our side"))
    UNAVAILABLE = ("unavailable", 503, Text("系统繁忙，请稍后重试", "Not available just now"))

    def __init__(self, slug: str, status: int, title: Text) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The problem type of RFC 9457: a URN, which nothing resolves."""
        return f"urn:tongban:problem:{self.slug}"


@dataclass(frozen=True, slots=True)
class FieldError:
    """Names a wrong field by its JSON Pointer in the body, and says what would be right."""

    pointer: str
    message: Text


class ProblemError(IntakeError):
    """Raised to answer a request with a problem document.

    Args:
        retry_after: seconds, for the header Retry-After.
        members: further members of the document, for clients that read another standard's.
    """

    def __init__(
        self,
        kind: Kind,
        detail: Text | None = None,
        *,
        errors: Iterable[FieldError] = (),
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
        members: dict[str, str] | None = None,
    ) -> None:
        super().__init__(kind.slug)
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.retry_after = retry_after
        self.headers = headers or {}
        self.members = members or {}

    def body(self, language: Language) -> dict[str, Any]:
        """Return the problem document in one language."""
        body: dict[str, Any] = {
            "type": self.kind.uri,
            "title": self.kind.title.in_(language),
            "status": self.kind.status,
        }
        if self.detail is not None:
            body["detail"] = self.detail.in_(language)
        if self.errors:
            body["errors"] = [
                {"pointer": error.pointer, "message": error.message.in_(language)}
                for error in self.errors
            ]
        return {**body, **self.members}

    def response(self, language: Language) -> Response:
        """Return the HTTP response, in one language."""
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        if self.kind is Kind.UNAUTHENTICATED:
            headers["WWW-Authenticate"] = 'Bearer realm="tongban"'
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        headers.update(self.headers)
        return Response(
            orjson.dumps(self.body(language)),
            status_code=self.kind.status,
            media_type=MEDIA_TYPE,
            headers=headers,
        )


def language_of(request: Request) -> Language:
    """Return the language for the answer, from the header Accept-Language."""
    return preferred(request.headers.get("accept-language"))


def invalid(pointer: str, zh: str, en: str) -> ProblemError:
    """Return a 422 for one wrong field."""
    return ProblemError(Kind.INVALID, errors=[FieldError(pointer, Text(zh, en))])


def gone() -> ProblemError:
    """Return a 410: the personal data of this request was destroyed, with its key or by age."""
    return ProblemError(Kind.GONE, Text("个人信息已按期销毁", "Personal data destroyed"))


def unreadable_now() -> ProblemError:
    """Return a 503: this replica's key ring lacks the request's key, which is not destroyed."""
    return ProblemError(
        Kind.UNAVAILABLE, Text("暂时无法读取", "The key is not here yet; try again"), retry_after=5
    )


@contextmanager
def envelope_problems() -> Iterator[None]:
    """Raise `unreadable_now` or `gone` for the errors of an envelope that cannot be opened."""
    try:
        yield
    except KeyMissingError:
        raise unreadable_now() from None
    except UnreadableEnvelopeError:
        raise gone() from None
