"""A server that speaks MongoDB's wire protocol and answers every command as a test tells it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import bson

Answer = Mapping[str, Any]
_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_HELLO: Answer = {
    "ok": 1,
    "isWritablePrimary": True,
    "ismaster": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48 * 1000 * 1000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
}


def refused(code: int, name: str = "Refused") -> Answer:
    """The answer to a command that the server refuses as a whole."""
    return {"ok": 0, "code": code, "codeName": name, "errmsg": "a text with 张三 in it"}


def write_refused(code: int) -> Answer:
    """The answer to a write that failed for its one document."""
    errors = [{"index": 0, "code": code, "errmsg": "a text with 张三 in it"}]
    return {"ok": 1, "n": 0, "writeErrors": errors}


def not_replicated(code: int) -> Answer:
    """The answer to a write that took effect on the primary alone, as far as it knows."""
    return {"ok": 1, "n": 1, "writeConcernError": {"code": code, "errmsg": "no majority"}}


@asynccontextmanager
async def store_that_answers(answer: Callable[[str], Answer]) -> AsyncIterator[str]:
    """The URL of a server whose answer to each command is `answer(name of the command)`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length, number, _, code = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                body = await reader.readexactly(length - _HEADER.size)
                writer.write(_reply(number, code, _answered(code, body, answer)))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        server.close()


def _answered(code: int, body: bytes, answer: Callable[[str], Answer]) -> Answer:
    if code == _OP_QUERY:
        return _HELLO
    # Flags, then a section of kind 0: the command itself. Its first field is its name.
    size = struct.unpack_from("<i", body, 5)[0]
    name = next(iter(bson.decode(body[5 : 5 + size])))
    return _HELLO if name in ("hello", "ismaster", "isMaster") else answer(name)


def _reply(number: int, code: int, answer: Answer) -> bytes:
    document = bson.encode(answer)
    if code == _OP_QUERY:
        body, kind = struct.pack("<iqii", 8, 0, 0, 1) + document, _OP_REPLY
    else:
        body, kind = struct.pack("<ib", 0, 0) + document, _OP_MSG
    return _HEADER.pack(_HEADER.size + len(body), 0, number, kind) + body
