"""The probes' port under clients that send too much, on a raw socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from tongban_common.observability import HealthServer

HOST = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MOST = 64 * 1024 * 1024
FLAT = 4 * 1024 * 1024


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = HealthServer(host="127.0.0.1", port=0, live={}, ready={}, registry=CollectorRegistry())
    async with server:
        yield server.port


async def overwhelm(port: int, head: bytes, endless: bytes) -> tuple[bytes, int]:
    """Send the head, then `endless` again and again until the server closes or has had `MOST`
    bytes; return the answer and how many bytes the server let through."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0

    async def send() -> None:
        nonlocal sent
        with contextlib.suppress(OSError):
            writer.write(head)
            while sent < MOST:
                writer.write(endless)
                await writer.drain()
                sent += len(endless)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                return await reader.read(4096), sent
            return b"", sent
    finally:
        sending.cancel()
        writer.close()


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"GET /livez?", b"x" * 65536),
        (HOST + b"X-Long: ", b"x" * 65536),
        (HOST, b"X-Many: y\r\n" * 6000),
        (HOST + b"Cookie: a=b\r\n", b" folded\r\n" * 6000),
        (CHUNKED, b"1;" + b"x" * 65536),
        (CHUNKED + b"0\r\n", b"Trailer: y\r\n" * 6000),
    ],
    ids=["address", "one field", "many fields", "folded field", "chunk extension", "trailers"],
)
async def test_head_without_end_is_refused_and_memory_stays_flat(
    port: int, head: bytes, endless: bytes
) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        answer, sent = await overwhelm(port, head, endless)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not answer.startswith(b"HTTP/1.1 2")
    assert sent < MOST / 8
    assert peak < FLAT


async def test_probe_is_answered_beside_a_body_without_end(port: int) -> None:
    tracemalloc.start()
    try:
        head = HOST + b"Content-Length: 99999999999\r\n\r\n"
        answer, sent = await overwhelm(port, head, b"x" * 65536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 200")
    assert sent < MOST
    assert peak < FLAT
