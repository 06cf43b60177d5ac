"""Nothing of a call to a provider outlives the call, and no answer fills the memory."""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tongban_kafka import uptime
from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.sms import provider as provider_module
from tongban_notify.sms.provider import NotSentError, Provider, UnclearSendError
from tongban_notify.sms.session import Sockets, provider_session

MESSAGE = TextMessage("m", "r", MessageTemplate.COMPLETED, "13800138000", "您好")
BIG = TextMessage("m", "r", MessageTemplate.COMPLETED, "13800138000", "x" * 200_000)
"""More than a peer with a small window takes, and less than what our kernel takes of us."""


def provider(url: str, session: aiohttp.ClientSession, timeout: float = 5) -> Provider:
    return Provider("p", url, session, key="k", honours_reference=False, timeout=timeout)


def test_closed_socket_drops_unsent_bytes() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))
    made = Sockets(5.0)(address)
    with made:
        linger = made.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        if sys.platform == "linux":
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


async def test_session_makes_its_connections_of_such_sockets() -> None:
    seen: list[socket.socket] = []

    class Spy(Sockets):
        def __call__(self, address: Any) -> socket.socket:
            seen.append(made := super().__call__(address))
            return made

    async def take(_: web.Request) -> web.Response:
        options = [each.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) for each in seen]
        return web.json_response({}, status=202 if options == [struct.pack("ii", 1, 0)] else 500)

    async with serving(take) as url, provider_session(5.0) as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        assert isinstance(session.connector._socket_factory, Sockets)
        session.connector._socket_factory = Spy(5.0)
        await provider(url, session).send(MESSAGE)
    assert len(seen) == 1


def _stalled_listener() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def _all_of(peer: socket.socket) -> int:
    """Bytes that come out of a connection until it ends, however it ends."""
    peer.settimeout(10)
    read = 0
    try:
        while piece := peer.recv(65536):
            read += len(piece)
    except ConnectionResetError:
        pass
    return read


async def _closed() -> None:
    """Let the loop close what was given up: a transport does so in its next turn."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _arrived_after_giving_up(message: TextMessage, *, kernel_s: float, timeout: float) -> int:
    """Send to a provider that reads only after the call was given up; return the bytes it gets."""
    with _stalled_listener() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with provider_session(kernel_s) as session:
            with pytest.raises(UnclearSendError):
                await provider(url, session, timeout=timeout).send(message)
            await _closed()
            peer, _ = listener.accept()
            with peer:
                return await asyncio.to_thread(_all_of, peer)


async def test_call_that_is_given_up_leaves_nothing_in_the_kernel() -> None:
    """Without the options the provider would be given the whole message, minutes later if it
    likes."""
    arrived = await _arrived_after_giving_up(BIG, kernel_s=0.5, timeout=0.5)
    assert arrived < len(BIG.text) / 2


@pytest.mark.parametrize("size", [200_000, 20_000_000])
async def test_call_that_is_given_up_leaves_nothing_in_the_process(size: int) -> None:
    """The kernel takes a part of the message at most; asyncio holds the rest of it."""
    whole = replace(BIG, text="x" * size)
    assert await _arrived_after_giving_up(whole, kernel_s=30, timeout=0.2) < size / 2


def _send_for_ever(port: int) -> None:
    async def run() -> None:
        async with provider_session(60.0) as session:
            await provider(f"http://127.0.0.1:{port}/", session, timeout=60).send(BIG)

    asyncio.run(run())


async def test_process_that_is_killed_leaves_nothing_in_the_kernel() -> None:
    with _stalled_listener() as listener:
        child = multiprocessing.get_context("spawn").Process(
            target=_send_for_ever, args=(listener.getsockname()[1],)
        )
        child.start()
        peer, _ = await asyncio.to_thread(listener.accept)
        with peer:
            # The first bytes are there, so the rest lies in the kernel of the child's side.
            await asyncio.to_thread(peer.recv, 1, socket.MSG_PEEK)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await asyncio.to_thread(child.join)
            assert await asyncio.to_thread(_all_of, peer) < len(BIG.text) / 2


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
async def test_connection_of_a_frozen_process_is_given_up_by_the_kernel() -> None:
    """Nobody closes the socket; the kernel does, once bytes lie unacknowledged for the time-out."""
    loop = asyncio.get_running_loop()
    with _stalled_listener() as listener:
        made = Sockets(0.3)((socket.AF_INET, socket.SOCK_STREAM, 0, "", None))
        with made:
            made.connect(listener.getsockname())
            made.setblocking(False)
            peer, _ = listener.accept()
            with peer:
                made.send(b"x" * 200_000)
                ended: asyncio.Future[int] = loop.create_future()
                loop.add_reader(
                    made,
                    lambda: (
                        ended.done()
                        or ended.set_result(made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                    ),
                )
                try:
                    assert await asyncio.wait_for(ended, 60) != 0
                finally:
                    loop.remove_reader(made)
                assert _all_of(peer) < 100_000


async def test_call_that_would_begin_too_late_sends_nothing() -> None:
    """Of a process that was frozen between its guard and its call: on a new connection, and on one
    that it has already."""
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(request.method)
        return web.json_response({}, status=202)

    async with serving(take) as url, provider_session(5.0) as session:
        sms = provider(url, session)
        over = uptime() - 1
        for _ in range(2):
            with pytest.raises(NotSentError) as refused:
                await sms.send(MESSAGE, before=over)
            assert not refused.value.final
            await sms.send(MESSAGE, before=uptime() + 60)
        assert taken == ["POST", "POST"]


async def test_provider_that_takes_no_connection_got_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider_module, "_CONNECT_S", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)  # the queue is full now
            async with provider_session(5.0) as session:
                sms = provider(f"http://127.0.0.1:{address[1]}/", session)
                with pytest.raises(NotSentError, match="unreachable"):
                    await sms.send(MESSAGE)


@pytest.mark.parametrize("packed", [False, True])
async def test_answer_beyond_all_bounds_is_not_read(packed: bool) -> None:
    read = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal read
        headers = {"Content-Encoding": "gzip"} if packed else {}
        answer = web.StreamResponse(headers=headers)
        await answer.prepare(request)
        piece = gzip.compress(b" " * 1_000_000) if packed else b" " * 65536
        try:
            for _ in range(2000):
                await answer.write(piece)
                read += len(piece)
        except ConnectionResetError:
            pass
        return answer

    async with serving(flood) as url, provider_session(30.0) as session:
        with pytest.raises(UnclearSendError):
            await provider(url, session, timeout=30).knows("m")
    assert read < 16 * 1024 * 1024


async def test_answer_nested_beyond_all_bounds_is_none() -> None:
    async def nested(_: web.Request) -> web.Response:
        return web.Response(body=b"[" * 60_000, content_type="application/json")

    async with serving(nested) as url, provider_session(5.0) as session:
        with pytest.raises(UnclearSendError):
            await provider(url, session).knows("m")


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
async def test_trouble_of_the_process_is_unclear_and_no_fault_of_the_message(
    error: Exception,
) -> None:
    class Troubled:
        def request(self, *_: Any, **__: Any) -> Any:
            raise error

        post = get = request

    sms = provider("http://127.0.0.1:9/", Troubled())  # type: ignore[arg-type]
    with pytest.raises(UnclearSendError):
        await sms.send(MESSAGE)
    with pytest.raises(UnclearSendError):
        await sms.knows("m")


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("content_rejected", "content_rejected"),
        ("isv.LIMIT_CONTROL", "isv.LIMIT_CONTROL"),
        ("13800138000", "http_400"),
        ("number 13800138000 of 张三", "http_400"),
        ({"a": 1}, "http_400"),
    ],
)
async def test_free_text_of_a_provider_is_not_written_down(code: Any, written: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"code": code}, status=400)

    async with serving(refuse) as url, provider_session(5.0) as session:
        with pytest.raises(NotSentError) as refused:
            await provider(url, session).send(MESSAGE)
    assert refused.value.code == written


class serving:
    """A provider that answers every call with `handler`."""

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        app = web.Application()
        app.add_routes([web.route("*", "/", handler)])
        self._server = TestServer(app)

    async def __aenter__(self) -> str:
        await self._server.start_server()
        return str(self._server.make_url("/"))

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()
