"""Reading a JSON body: bounded in size and time, refused where it is not what it says it is."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from tongban_common.domain.ids import IDEMPOTENCY_KEY
from tongban_intake.http.patience import within
from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text


async def read_object(request: Request, *, limit: int, seconds: float) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        Problem: 415, 413, 408, or 400 for what is no JSON object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            Kind.MEDIA_TYPE, Text("请以application/json提交", "Send Content-Type: application/json")
        )
    return parse_object(await read_bytes(request, limit=limit, seconds=seconds))


async def read_bytes(request: Request, *, limit: int, seconds: float) -> bytes:
    """The body, of `limit` bytes at most; the count is kept while reading.

    Raises:
        Problem: 413 or 408.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit:
        raise _too_large(limit)
    try:
        return await within(seconds, _received(request, limit))
    except TimeoutError:
        raise Problem(Kind.SLOW, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(Kind.MALFORMED, Text("连接中断", "The connection broke off")) from None


async def _received(request: Request, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> Problem:
    return Problem(
        Kind.TOO_LARGE, Text(f"请勿超过{limit // 1024}KB", f"At most {limit // 1024} KB")
    )


def parse_object(body: bytes) -> dict[str, Any]:
    """Read JSON (RFC 8259) whose top level is an object.

    Raises:
        Problem: 400.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        place = f"第{error.lineno}行第{error.colno}列", f"line {error.lineno}, {error.colno}"
        raise Problem(
            Kind.MALFORMED, Text(f"不是有效的JSON（{place[0]}）", f"No valid JSON ({place[1]})")
        ) from None
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, Text("应为JSON对象", "A JSON object is expected"))
    return value


def canonical(value: dict[str, Any]) -> bytes:
    """One spelling for equal JSON values: keys sorted, no spaces.

    Raises:
        Problem: 400, nested deeper than 254 levels.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise Problem(
            Kind.MALFORMED, Text("JSON嵌套过深", "The JSON is nested too deeply")
        ) from None


def idempotency_key(request: Request) -> str:
    """The `Idempotency-Key` header.

    Raises:
        Problem: 400, missing or not 8 to 128 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key", "")
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(
            Kind.MALFORMED,
            Text(
                "缺少Idempotency-Key，或不是8至128个可见ASCII字符",
                "Send an Idempotency-Key of 8 to 128 visible ASCII characters",
            ),
        )
    return key
