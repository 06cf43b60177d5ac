"""uvicorn's protocol with limits for a request's head, in time and in size."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32 * 1024
"""Most that a request's head may have, and most that may come around its body: chunk extensions and
trailers. Proxies in front of us refuse more than 8 to 32 KiB."""
HEAD_FIELDS = 100
_FAREWELL_S = 2.0
"""For which a refused client's bytes are read and thrown away. Closing at once would reset the
connection, and the client would lose the answer that tells it why."""


class _HeadTooLargeError(Exception):
    """Raised within the parser: the head has reached its limit."""


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection whose next request does not come whole up to the end of its head, and
    refuses a head that is too large while it comes.

    uvicorn bounds the idle time between requests but not the first wait nor a head that
    trickles in, so that a handful of clients could hold all connections (slowloris). Nor does
    its parser bound a head, which it keeps in memory: whole fields in uvicorn, and one that has
    not ended yet in httptools.
    """

    head_seconds = 10.0
    """Within which a head has to arrive; a subclass sets it."""
    _since: float | None = None
    """Of the loop's clock, when a head began to be awaited; None: none is."""
    _timer: asyncio.TimerHandle | None = None
    _farewell: asyncio.TimerHandle | None = None
    _fields = 0
    _parsed = 0
    """Bytes of this message's URL, fields and trailers that the parser has handed over."""
    _around = 0
    """Bytes in which nothing but head, trailers or chunk extensions can have been."""
    _moved = False
    """Whether a message has begun, or some of its body has come, in the bytes just fed."""
    _refusal = (431, "Request Header Fields Too Large")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self.head_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        if self._farewell is not None:
            return
        self._moved = False
        super().data_received(data)
        if not self._moved:
            self._around += len(data)
            if self._around > HEAD_BYTES and self._farewell is None:
                self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since = self.loop.time()
        self._fields = self._parsed = self._around = 0
        self._moved = True

    def on_url(self, url: bytes) -> None:
        self._refusal = (414, "URI Too Long")
        self._count(len(url))
        self._refusal = (431, "Request Header Fields Too Large")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._since = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES or self._fields > HEAD_FIELDS:
            raise _HeadTooLargeError

    def send_400_response(self, msg: str) -> None:
        """Answer and close; uvicorn calls it when the parser has raised, also for our own."""
        if self._parsed > HEAD_BYTES or self._fields > HEAD_FIELDS:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        """Answer, unless an answer to this message has begun, and close after a moment."""
        status, title = self._refusal
        if self._since is not None:
            body = b'{"type":"about:blank","title":"%s","status":%d}' % (title.encode(), status)
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, title.encode(), len(body), body)
            )
        self._since = None
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._farewell = self.loop.call_later(_FAREWELL_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._farewell):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """One timer for the life of a connection: setting one for each request costs more than
        it is worth where almost every head comes whole."""
        left = self.head_seconds
        if self._since is not None:
            left = self._since + self.head_seconds - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)
        else:
            self.transport.close()
