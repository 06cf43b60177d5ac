"""Whatever a gateway answers: no harm, bounded time and memory, and others unharmed."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

import pytest

from tests.integration.connectors.hostile_kit import PIECE, Asked, gateway_to, gateways_to, hostile
from tongban_connectors.domain.gateway import (
    LONGEST_WAIT_S,
    BrokenAnswerError,
    GatewayDownError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.gateways.rest import RestGateway
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument
from tongban_provinces.signing import WINDOW_SECONDS

GOOD = {"request_id": "r-1", "state": "accepted", "receipt": "1"}
MOST_MEMORY = 6 * 1024 * 1024
"""Bytes that reading any answer may take, the server's side of it included."""


async def honest(asked: Asked) -> None:
    await asked.answer(GOOD)


# --- behaviours


async def html(asked: Asked) -> None:
    page = b"<html>please log in</html>"
    await asked.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page)
        + page
    )


async def another_nonce(asked: Asked) -> None:
    await asked.answer(GOOD, nonce="the-nonce-of-another-call")


async def forged_body(asked: Asked) -> None:
    signed = asked.head(200, b'{"request_id":"r-1","state":"accepted "}')
    await asked.write(signed + b'{"request_id":"r-1","state":"completed"}')


async def signed_html(asked: Asked) -> None:
    await asked.answer(b"<html></html>", content_type="text/html")


async def no_content_type(asked: Asked) -> None:
    await asked.answer(b"{}", content_type=";;;")


async def no_json(asked: Asked) -> None:
    await asked.answer(b'{"request_id": "r-1", ')


async def no_object(asked: Asked) -> None:
    await asked.answer([GOOD])


async def deep_json(asked: Asked) -> None:
    await asked.answer(b'{"a":' * 60_000 + b"1" + b"}" * 60_000)


async def ten_megabytes(asked: Asked) -> None:
    await asked.write(asked.head(200, b"", content_length=str(160 * len(PIECE))))
    for _ in range(160):
        await asked.write(PIECE)


async def endless(asked: Asked) -> None:
    await asked.write(asked.head(200, b"", transfer_encoding="chunked").replace(
        b"content-length: 0\r\n", b""
    ))  # fmt: skip
    while True:
        await asked.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))


@cache
def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(PIECE) for _ in range(1600)), packer.flush()])


async def zip_bomb(asked: Asked) -> None:
    await asked.answer(bomb(), content_encoding="gzip")


async def elsewhere(asked: Asked) -> None:
    await asked.answer(b"", 302, location=f"http://{asked.headers['host']}/elsewhere")


async def long_texts(asked: Asked) -> None:
    await asked.answer({**GOOD, "reason": "长" * 501})


async def control_characters(asked: Asked) -> None:
    await asked.answer({**GOOD, "reason": "\x1b[2J"})


async def turned_text(asked: Asked) -> None:
    await asked.answer({**GOOD, "reason": "通过\u202e"})


async def many_rows(asked: Asked) -> None:
    table = {"columns": ["a"], "rows": [["1"]] * 5001}
    result = {"number": "1", "issuer": "i", "issued_on": "d", "facts": [], "table": table}
    await asked.answer({**GOOD, "state": "completed", "result": result})


async def wrong_state(asked: Asked) -> None:
    await asked.answer({**GOOD, "state": "approved"})


async def strange_status(asked: Asked) -> None:
    await asked.answer(GOOD, 299)


async def slow_drip(asked: Asked) -> None:
    await asked.write(asked.head(200, b" " * 1000))
    for _ in range(1000):
        await asked.write(b" ")
        await asyncio.sleep(0.05)


async def silence(_: Asked) -> None:
    await asyncio.sleep(60)


async def header_flood(asked: Asked) -> None:
    await asked.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        await asked.write(b"x-%d: %b\r\n" % (number, b"y" * 4000))


async def endless_header(asked: Asked) -> None:
    await asked.write(b"HTTP/1.1 200 OK\r\nx-long: ")
    while True:
        await asked.write(PIECE.replace(b" ", b"y"))


async def early_hints(asked: Asked) -> None:
    while True:
        await asked.write(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n")
        await asyncio.sleep(0.001)


async def midway(asked: Asked) -> None:
    await asked.write(asked.head(200, b" " * 100) + b"    ")
    asked.writer.transport.abort()


async def cut(asked: Asked) -> None:
    asked.writer.transport.abort()


async def no_http(asked: Asked) -> None:
    await asked.write(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")


async def unsigned_error(asked: Asked) -> None:
    await asked.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")


BROKEN = [
    html, another_nonce, forged_body, signed_html, no_content_type, no_json, no_object, deep_json,
    ten_megabytes, endless, zip_bomb, elsewhere, long_texts, control_characters, turned_text,
    many_rows, wrong_state, strange_status,
]  # fmt: skip
UNCLEAR = [
    slow_drip, silence, header_flood, endless_header, early_hints, midway, cut, no_http,
    unsigned_error,
]  # fmt: skip


# --- what comes of them


async def submit(gateway: RestGateway) -> GatewayAnswer:
    return await gateway.submit({"request_id": "r-1"}, act_before=time.time() + 5)


@pytest.mark.parametrize("behaviour", BROKEN + UNCLEAR, ids=lambda b: b.__name__)
async def test_hostile_answer_is_unclear_and_harms_no_neighbour(
    behaviour: Callable[[Asked], Any],
) -> None:
    """Neither a send nor a look-up is believed, in bounded time and memory, while a province that
    is asked through the same session is answered as ever."""
    bomb()
    async with (
        hostile(behaviour) as place,
        hostile(honest) as good,
        gateways_to(place.port, good.port, timeout_s=1.0, read_timeout_s=0.8) as gateways,
    ):
        gateway, neighbour = gateways
        tracemalloc.start()
        try:
            began = time.monotonic()
            calls = (submit(gateway), gateway.look_up("r-1"), neighbour.look_up("r-1"))
            results = await asyncio.gather(*calls, return_exceptions=True)
            took = time.monotonic() - began
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    *hurt, answered = results
    assert isinstance(answered, GatewayAnswer)
    assert answered.state is GatewayState.ACCEPTED
    for error in hurt:
        assert isinstance(error, UnclearAnswerError), repr(error)
        assert isinstance(error, BrokenAnswerError) == (behaviour in BROKEN), repr(error)
    assert took < 8, "time-outs hold on a slow machine as well"
    assert peak < MOST_MEMORY
    assert all("elsewhere" not in asked.target for asked in place.asked)


async def test_refused_connection_raises_gateway_down() -> None:
    async with hostile(honest) as place:
        port = place.port
    async with gateway_to(port) as gateway:
        with pytest.raises(GatewayDownError):
            await submit(gateway)


async def test_cookies_are_not_kept() -> None:
    async def baker(asked: Asked) -> None:
        await asked.answer(GOOD, set_cookie="a=b; Path=/")

    async with hostile(baker) as place, gateway_to(place.port) as gateway:
        await gateway.look_up("r-1")
        await gateway.look_up("r-1")
    assert len(place.asked) == 2
    assert all("cookie" not in asked.headers for asked in place.asked)


async def test_second_answer_on_a_connection_is_not_taken_for_the_next_one() -> None:
    """A second answer on the same connection, before anything was asked, is not the next one's."""

    async def talkative(asked: Asked) -> None:
        extra = {**GOOD, "state": "completed"}
        await asked.answer(GOOD)
        await asked.answer(extra)

    async with hostile(talkative) as place, gateway_to(place.port) as gateway:
        calls = [gateway.look_up("r-1") for _ in range(3)]
        results = [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
    answers = [said for said in results if not isinstance(said, UnclearAnswerError)]
    assert answers, "not one of the three was answered"
    assert [(type(said), said.state) for said in answers] == [  # type: ignore[union-attr]
        (GatewayAnswer, GatewayState.ACCEPTED)
    ] * len(answers)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("3", 3, 3),
        ("1e300", 600, 600),
        ("inf", 1, 1),
        ("nan", 1, 1),
        ("-5", 0.1, 0.1),
        ("soon", 1, 1),
        ("Mon, 99 Foo 2026", 1, 1),
    ],
)
async def test_requested_wait_is_bounded(said: str, least: float, most: float) -> None:
    assert least <= await _waited_for(said) <= most <= LONGEST_WAIT_S["closed"]


async def test_a_date_to_wait_for_is_counted_from_now() -> None:
    # Made here and not in the parameters above: those are made when the tests are found, long
    # before this one runs, and two workers that find them a second apart must find the same.
    in_five_minutes = datetime.now(UTC) + timedelta(seconds=300)
    assert 200 <= await _waited_for(format_datetime(in_five_minutes, usegmt=True)) <= 300


@pytest.mark.parametrize("cause", ["closed", "throttled"])
@pytest.mark.parametrize(
    ("signed", "header", "waited"),
    [
        (None, "86400", 600),
        (None, "1e308", 600),
        (30000, "5", 30000),
        (5, "86400", 5),
        (1e300, "5", 15 * 86400),
        (-1, "5", 0.1),
        ("soon", "7", 7),
        (True, "7", 7),
    ],
)
async def test_long_wait_is_believed_where_it_is_signed(
    cause: str, signed: object, header: str, waited: float
) -> None:
    """Whoever sits in between may write any header beside a signed "closed"."""

    async def asks_us_to_wait(asked: Asked) -> None:
        said = {"code": cause} if signed is None else {"code": cause, "retry_after": signed}
        await asked.answer(said, 429 if cause == "throttled" else 503, retry_after=header)

    async with hostile(asks_us_to_wait) as place, gateway_to(place.port) as gateway:
        with pytest.raises(RetryLaterError) as later:
            await gateway.look_up("r-1")
    assert later.value.after_s == min(waited, LONGEST_WAIT_S[cause])


async def _waited_for(said: str) -> float:
    """What a gateway's ``Retry-After: said`` makes us wait, in seconds."""

    async def throttling(asked: Asked) -> None:
        await asked.answer({"code": "throttled"}, 429, retry_after=said)

    async with hostile(throttling) as place, gateway_to(place.port) as gateway:
        with pytest.raises(RetryLaterError) as later:
            await gateway.look_up("r-1")
    assert later.value.cause == "throttled"
    return later.value.after_s


async def test_unknown_comes_with_the_gateways_own_time() -> None:
    async def knows_nothing(asked: Asked) -> None:
        await asked.answer({"code": "unknown"}, 404)

    async with hostile(knows_nothing) as place, gateway_to(place.port) as gateway:
        said = await gateway.look_up("r-1")
    assert isinstance(said, Unknown)
    assert said.said_at is not None
    assert abs(said.said_at - time.time()) < WINDOW_SECONDS


@pytest.mark.parametrize("fault", ["longer", "endless", "type", "gone"])
async def test_a_document_is_read_no_further_than_it_was_announced(fault: str) -> None:
    pdf = b"%PDF-1.7 " * 1000

    async def serves(asked: Asked) -> None:
        match fault:
            case "longer":
                await asked.answer(pdf + b" ", content_type="application/pdf")
            case "endless":
                await endless(asked)
            case "type":
                await asked.answer(pdf)
            case _:
                await asked.answer({"code": "unknown"}, 404)

    announced = OfferedDocument(name="c", title="证明", sha256="0" * 64, size=len(pdf))
    async with hostile(serves) as place, gateway_to(place.port) as gateway:
        with pytest.raises(BrokenAnswerError):
            await gateway.fetch("r-1", announced, 0)


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (401, "bad_signature", NotRecognisedError),
        (401, "replayed", UnclearAnswerError),
        (400, "stale", NotRecognisedError),
        (413, "too_large", BrokenAnswerError),
    ],
)
async def test_signed_refusal_of_an_unverified_message_settles_nothing(
    status: int, code: str, ends: type[Exception]
) -> None:
    """It may be the no to somebody's rubbish under our nonce, while ours is acted upon."""

    async def refuses(asked: Asked) -> None:
        await asked.answer({"code": code}, status)

    async with hostile(refuses) as place, gateway_to(place.port) as gateway:
        with pytest.raises(ends) as caught:
            await gateway.submit({"request_id": "r-1"}, act_before=time.time() + 5)
        assert isinstance(caught.value, UnclearAnswerError)
        with pytest.raises(UnclearAnswerError):
            await gateway.look_up("r-1")
