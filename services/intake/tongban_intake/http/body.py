"""Read JSON bodies, bounded in size and time, and the Idempotency-Key; base of their models."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect, Request

from tongban_common.domain.ids import IDEMPOTENCY_KEY
from tongban_intake.problems import FieldError, Kind, ProblemError
from tongban_intake.text import Text


async def read_object(request: Request, *, limit: int, seconds: float) -> dict[str, Any]:
    """Read a request's body as a JSON object.

    Args:
        limit: bytes.
        seconds: within which the whole body has to arrive.

    Raises:
        ProblemError: 415, 413, 408; 400 for a body that is no JSON object; 422 as `parse_object`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            Kind.MEDIA_TYPE, Text("请以application/json提交", "Send Content-Type: application/json")
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        # RFC 9110, 15.5.16: the answer names what would be accepted.
        raise ProblemError(
            Kind.MEDIA_TYPE,
            Text("请勿压缩请求体", "Send the body without a Content-Encoding"),
            headers={"Accept-Encoding": "identity"},
        )
    return parse_object(await read_bytes(request, limit=limit, seconds=seconds))


async def read_bytes(request: Request, *, limit: int, seconds: float) -> bytes:
    """Read a request's body, counting its bytes as they arrive: `limit` at most.

    Raises:
        ProblemError: 413 or 408.
    """
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()) or int(announced) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _received(request, limit)
    except TimeoutError:
        raise ProblemError(Kind.SLOW, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise ProblemError(Kind.MALFORMED, Text("连接中断", "The connection broke off")) from None


async def read_form(
    request: Request, *, limit: int, seconds: float, max_fields: int
) -> dict[str, list[str]]:
    """Read a posted form (application/x-www-form-urlencoded); fields without a value are left out.

    Raises:
        ProblemError: 400, it is not UTF-8 or has more than `max_fields`; 413 or 408.
    """
    raw = await read_bytes(request, limit=limit, seconds=seconds)
    try:
        return parse_qs(raw.decode(), max_num_fields=max_fields)
    except ValueError:
        raise ProblemError(Kind.MALFORMED) from None


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


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        Kind.TOO_LARGE, Text(f"请勿超过{limit // 1024}KB", f"At most {limit // 1024} KB")
    )


_NOT_UTF8 = Text("请以UTF-8编码提交，不带字节顺序标记", "Send UTF-8 without a byte order mark")
_TWICE = Text("同一对象中有重复的名称", "A name stands twice in one object")
_NO_NUMBER = Text("JSON中没有NaN和Infinity", "JSON has no NaN and no Infinity")
_DEEP = Text("JSON嵌套过深", "The JSON is nested too deeply")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HALF = Text("含有不完整的字符，请重新填写", "Has half of a character (a lone surrogate)")


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse JSON (RFC 8259) whose top level is an object.

    Refuse what JSON parsers read differently: duplicate names, NaN, lone surrogates. A number
    beyond the range of a double is read as infinite, so that `read_values` can name its field.

    Raises:
        ProblemError: 400; 422 naming the field, where a text has a lone surrogate.
    """
    try:
        text = body.decode()
        if text.startswith("\ufeff") or "\0" in text:
            raise ProblemError(Kind.MALFORMED, _NOT_UTF8)
        value = _DECODER.decode(text)
        halves = list(_halves(value, "")) if "\\u" in text else []
    except UnicodeDecodeError:
        raise ProblemError(Kind.MALFORMED, _NOT_UTF8) from None
    except RecursionError:
        raise ProblemError(Kind.MALFORMED, _DEEP) from None
    except json.JSONDecodeError as error:
        place = f"第{error.lineno}行第{error.colno}列", f"line {error.lineno}, {error.colno}"
        raise ProblemError(
            Kind.MALFORMED, Text(f"不是有效的JSON（{place[0]}）", f"No valid JSON ({place[1]})")
        ) from None
    if not isinstance(value, dict):
        raise ProblemError(Kind.MALFORMED, Text("应为JSON对象", "A JSON object is expected"))
    if halves:
        raise ProblemError(Kind.INVALID, errors=[FieldError(at, _HALF) for at in halves])
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ProblemError(Kind.MALFORMED, _TWICE)
    return value


def _no_number(_: str) -> Any:
    raise ProblemError(Kind.MALFORMED, _NO_NUMBER)


def _integer(digits: str) -> int | float:
    """Read an integer that may not fit into 64 bits as a double: orjson, which writes the canonical
    form, cannot write it otherwise."""
    return int(digits) if len(digits) < 19 else float(digits)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_named_once, parse_constant=_no_number, parse_int=_integer
)


def _halves(value: Any, at: str) -> Iterator[str]:
    """Yield JSON Pointers to the texts with a lone surrogate; where a name has one, to its
    object."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            yield at
    elif isinstance(value, dict):
        for name, each in value.items():
            if _SURROGATE.search(name):
                yield at
            else:
                yield from _halves(each, f"{at}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _halves(each, f"{at}/{index}")


def canonical(value: dict[str, Any]) -> bytes:
    """Return the canonical form of a JSON object: keys sorted, no spaces.

    Raises:
        ProblemError: 400, nested deeper than 254 levels.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise ProblemError(Kind.MALFORMED, _DEEP) from None


def idempotency_key(request: Request) -> str:
    """Return the value of the `Idempotency-Key` header.

    Raises:
        ProblemError: 400, missing or not 8 to 128 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key", "")
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise ProblemError(
            Kind.MALFORMED,
            Text(
                "缺少Idempotency-Key，或不是8至128个可见ASCII字符",
                "Send an Idempotency-Key of 8 to 128 visible ASCII characters",
            ),
        )
    return key


class RequestBody(BaseModel):
    """Validates a JSON object that a client sends.

    A member that the contract does not name is an error, so that a misspelt name is not read as an
    absent one. Types are not converted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
