"""Heads that are too large or do not end, on a raw socket; and HEAD on every route."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tongban_intake.http.server import HEAD_BYTES, listen, make_server
from tongban_intake.http.telemetry import Edge, HttpMetrics

HOST = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MOST = 8 * 1024 * 1024


class Served:
    """An app behind intake's server and edge."""

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        self.port = port
        self.registry = registry
        self.streaming = 0

    async def ask(self, *parts: bytes, endless: bytes = b"", seconds: float = 10.0) -> bytes:
        """Send the parts, then `endless` again and again up to `MOST` bytes or until the server
        closes; what it answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(seconds):
                sending = asyncio.create_task(self._send(writer, parts, endless))
                answer = await reader.read(65536)
                while more := await reader.read(65536):
                    answer += more
                await sending
                return answer
        finally:
            writer.close()

    async def _send(self, writer: Any, parts: tuple[bytes, ...], endless: bytes) -> None:
        with contextlib.suppress(OSError):
            for part in parts:
                writer.write(part)
                await writer.drain()
            sent = 0
            while endless and sent < MOST:
                writer.write(endless)
                sent += len(endless)
                await writer.drain()

    async def still_serves(self) -> bool:
        answer = await self.ask(HOST + b"Connection: close\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")


@pytest.fixture(name="served")
async def _served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("tongban_intake.http.server._FAREWELL_S", 0.2)
    registry = CollectorRegistry()
    socket = listen("127.0.0.1", 0)
    served = Served(socket.getsockname()[1], registry)

    async def hello(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("hello")

    async def stream(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            served.streaming += 1
            try:
                while True:
                    yield b"again"
                    await asyncio.sleep(0.01)
            finally:
                served.streaming -= 1

        return StreamingResponse(chunks())

    app = FastAPI()
    app.add_api_route("/", hello, methods=["GET", "POST"], response_model=None)
    app.add_api_route("/stream", stream, response_model=None)
    edge = Edge(app, metrics=HttpMetrics(registry), send_seconds=5)
    server = make_server(edge, head_seconds=1.0, drain_seconds=1, max_connections=100)
    serving = asyncio.create_task(server.serve(sockets=[socket]))
    yield served
    server.should_exit = True
    await serving


@contextlib.contextmanager
def memory_flat(most: int = 2 * 1024 * 1024) -> Iterator[None]:
    """What Python holds at its peak, server and client together, grows by no more than this."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("begin", "endless", "status"),
    [
        (HOST + b"X-Long: ", b"x" * 65536, b"431"),
        (HOST, b"X-Field: value\r\n" * 4096, b"431"),
        (HOST, (b"X-" + b"n" * 65534), b"431"),
        (b"GET /", b"u" * 65536, b"414"),
        (b"GET /?q=", b"%41" * 20000, b"414"),
        (HOST + b"Cookie: ", b"a=b; " * 10000, b"431"),
    ],
    ids=["one field", "many fields", "field name", "path", "query", "cookie"],
)
async def test_endless_head_is_refused_and_memory_stays_flat(
    served: Served, begin: bytes, endless: bytes, status: bytes
) -> None:
    with memory_flat():
        answer = await served.ask(begin, endless=endless)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer
    assert await served.still_serves()


async def test_many_small_fields_are_refused(served: Served) -> None:
    fields = b"".join(b"a%d: b\r\n" % number for number in range(150))
    assert (await served.ask(HOST + fields + b"\r\n")).startswith(b"HTTP/1.1 431")


async def test_head_that_trickles_in_is_cut_off_in_time(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(HOST + b"X-Slow: ")
    cut_off = False
    async with asyncio.timeout(10):
        while not cut_off:
            try:
                writer.write(b"x")
                await writer.drain()
                cut_off = await asyncio.wait_for(reader.read(100), 0.05) == b""
                assert cut_off, "the server answers half a head"
            except TimeoutError:  # an OSError as well: the connection is still open
                continue
            except OSError:
                cut_off = True
    writer.close()
    assert await served.still_serves()


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (POST + b"5;ext=", b"e" * 65536),
        (POST + b"5\r\nhello\r\n0\r\nX-Trailer: ", b"t" * 65536),
        (POST + b"5\r\nhello\r\n0\r\n", b"X-Trailer: t\r\n" * 5000),
    ],
    ids=["chunk extension", "one trailer", "many trailers"],
)
async def test_bytes_around_a_body_are_bounded(
    served: Served, begin: bytes, endless: bytes
) -> None:
    with memory_flat():
        await served.ask(begin, endless=endless)
    assert await served.still_serves()


async def test_large_body_is_no_large_head(served: Served) -> None:
    size = 20 * HEAD_BYTES
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    assert (await served.ask(head + b"b" * size)).endswith(b"hello")
    chunks = (b"%x;n=1\r\n" % 1000 + b"b" * 1000 + b"\r\n") * 300 + b"0\r\nX-T: t\r\n\r\n"
    head = POST.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert (await served.ask(head + chunks)).endswith(b"hello")


async def test_requests_one_after_the_other_are_counted_each_for_itself(served: Served) -> None:
    fields = b"".join(b"a%d: %s\r\n" % (number, b"b" * 300) for number in range(60))
    many = (HOST + fields + b"\r\n") * 8 + HOST + b"Connection: close\r\n\r\n"
    assert (await served.ask(many)).count(b"hello") == 9


async def test_head_is_get_without_a_body(served: Served) -> None:
    ask = b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await served.ask(ask)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: 5" in head
    assert body == b""
    counted = {"method": "HEAD", "route": "/", "status": "200"}
    total = "tongban_intake_http_requests_total"
    for _ in range(200):  # it is counted once it has been sent
        if served.registry.get_sample_value(total, counted):
            break
        await asyncio.sleep(0.01)
    assert served.registry.get_sample_value(total, counted) == 1


async def test_head_of_a_stream_ends_at_once_and_leaves_nothing_open(served: Served) -> None:
    ask = b"HEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await served.ask(ask)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")
    for _ in range(200):
        if not served.streaming:
            break
        await asyncio.sleep(0.01)
    assert served.streaming == 0


async def test_head_of_an_unknown_path_is_answered_as_get(served: Served) -> None:
    ask = b"HEAD /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await served.ask(ask)).startswith(b"HTTP/1.1 404")
