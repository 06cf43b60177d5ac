"""A province gateway on a bare socket, which answers with whatever bytes a test likes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from tongban_connectors.gateways import rest
from tongban_connectors.gateways.rest import RestGateway
from tongban_provinces.signing import province_token, sign_response

PROVINCE, SECRET = "110000", "a-secret-of-the-tests"
TOKEN = province_token(SECRET, PROVINCE)
PIECE = b" " * 65536


@dataclass(slots=True)
class Asked:
    """One request as it was read, and the way to answer it."""

    method: str
    target: str
    headers: dict[str, str]
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def head(self, status: int, body: bytes, nonce: str | None = None, **more: str) -> bytes:
        """Status line and headers, signed for `body`."""
        signed = sign_response(
            TOKEN,
            status=status,
            body=body,
            timestamp=int(time.time()),
            nonce=self.headers.get("x-tif-nonce", "") if nonce is None else nonce,
        )
        given = {name.replace("_", "-"): value for name, value in more.items()}
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **signed,
            **given,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()

    async def answer(self, said: Any, status: int = 200, **more: str) -> None:
        """A signed answer; what is not bytes is told as JSON."""
        body = said if isinstance(said, bytes) else orjson.dumps(said)
        await self.write(self.head(status, body, **more) + body)


Behaviour = Callable[[Asked], Awaitable[None]]


@dataclass(slots=True)
class Hostile:
    """The server, and what it was asked."""

    behaviour: Behaviour
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    first, *lines = head.split("\r\n")
                    headers = dict(line.lower().split(": ", 1) for line in lines if line)
                    # The nonce's letters are large and small.
                    for line in lines:
                        if line.lower().startswith("x-tif-nonce"):
                            headers["x-tif-nonce"] = line.split(": ", 1)[1]
                    await reader.readexactly(int(headers.get("content-length", 0)))
                    method, target, _ = first.split(" ")
                    asked = Asked(method, target, headers, writer)
                    self.asked.append(asked)
                    await self.behaviour(asked)
            finally:
                writer.close()


@asynccontextmanager
async def hostile(behaviour: Behaviour) -> AsyncIterator[Hostile]:
    """A gateway that behaves like this, until the end of the context."""
    place = Hostile(behaviour)
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    place.port = server.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        server.close()


@asynccontextmanager
async def gateways_to(
    *ports: int, timeout_s: float = 2.0, read_timeout_s: float | None = None
) -> AsyncIterator[list[RestGateway]]:
    """Our side, with small time-outs, over one session as in a process."""
    async with rest.session() as session:
        yield [
            RestGateway(
                session,
                f"http://127.0.0.1:{port}/p/{PROVINCE}",
                province=PROVINCE,
                secret=SECRET,
                connect_timeout_s=1.0,
                timeout_s=timeout_s,
                read_timeout_s=read_timeout_s,
            )
            for port in ports
        ]


@asynccontextmanager
async def gateway_to(port: int) -> AsyncIterator[RestGateway]:
    """The same to one."""
    async with gateways_to(port) as (gateway,):
        yield gateway
