"""Where provinces call back: what is believed, what is said, and when."""

from __future__ import annotations

import asyncio
import gzip
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.events import decode
from tongban_common.events.models import ProvinceNotice
from tongban_common.observability import HealthServer
from tongban_connectors import callbacks
from tongban_connectors.callbacks import CallbackEndpoint, callback_url
from tongban_kafka import KafkaUnavailableError
from tongban_provinces.signing import (
    H_BODY_SIGNATURE,
    WINDOW_SECONDS,
    province_token,
    sign_request,
    verify_response,
)

SECRET, ID_SECRET = "gateways", "ids"
SICHUAN = "510000"
UNSIGNED = {
    *((401, code) for code in ("bad_signature", "unknown_paasid", "stale", "replayed")),
    *((413, "too_large"), (404, "no_such_province"), (503, "busy")),
}
"""Nobody who could not sign gets anything signed."""
REQUEST = ids.request_id(ID_SECRET, kiosk_id="k-1", branch_id="b-1", key="key-00001")


class Kafka:
    """A producer that acknowledges when it is told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.away = False
        self.acknowledges = asyncio.Event()
        self.acknowledges.set()

    async def send(
        self, topic: str, *, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        await self.acknowledges.wait()
        if self.away:
            raise KafkaUnavailableError("away")
        self.sent.append((topic, key, decode(value, headers)))


class Province:
    """Calls back as a province does."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def call(
        self,
        body: Any = None,
        *,
        province: str = SICHUAN,
        signed_by: str = SICHUAN,
        paasid: str = SICHUAN,
        path: str = "",
        nonce: str = "",
        shift: int = 0,
        sent: bytes | None = None,
    ) -> tuple[int, str]:
        """Status and code. What was believed is answered with a signature, and nothing else."""
        body = {"notice_id": "n-1", "request_id": REQUEST} if body is None else body
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        token = province_token(SECRET, signed_by)
        target = f"/callbacks/{province}"
        nonce = nonce or uuid.uuid4().hex
        headers = sign_request(
            token, method="POST", target=path or target, body=content,
            timestamp=int(time.time()) + shift, nonce=nonce, paasid=paasid,
        )  # fmt: skip
        async with self.http.post(
            self.url + target, data=content if sent is None else sent, headers=headers
        ) as reply:
            raw = await reply.read()
            said = reply.status, orjson.loads(raw)["code"]
            believed = said not in UNSIGNED
            assert believed == (H_BODY_SIGNATURE in reply.headers), said
            if believed:
                verify_response(
                    province_token(SECRET, province), reply.headers,
                    status=reply.status, body=raw, nonce=nonce, now=time.time(),
                )  # fmt: skip
            return said


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
async def province(kafka: Kafka) -> AsyncIterator[Province]:
    endpoint = CallbackEndpoint(
        dict.fromkeys(topics.PROVINCES, 20), producer=kafka, clock=BusinessClock.real(),
        gateway_secrets=(SECRET,), id_secret=ID_SECRET,
    )  # fmt: skip
    server = HealthServer(host="127.0.0.1", port=0, live={}, ready={}, routes=endpoint.routes())
    async with server, aiohttp.ClientSession() as http:
        yield Province(http, f"http://127.0.0.1:{server.port}")


def test_the_url_is_below_our_base_or_nowhere() -> None:
    assert callback_url("https://us/", SICHUAN) == "https://us/callbacks/510000"
    assert callback_url("", SICHUAN) is None


async def test_a_callback_becomes_a_notice(province: Province, kafka: Kafka) -> None:
    assert await province.call() == (200, "ok")
    ((topic, key, event),) = kafka.sent
    assert (topic, key) == (topics.REQUESTS_OUTCOMES, REQUEST.encode())
    assert isinstance(event.body, ProvinceNotice)
    assert (event.body.province, event.body.notice_id) == (SICHUAN, "n-1")


async def test_a_repeat_is_the_same_event(province: Province, kafka: Kafka) -> None:
    for notice_id in ("n-1", "n-1", "n-2"):
        await province.call({"notice_id": notice_id, "request_id": REQUEST, "more": "ignored"})
    first, again, other = (event.id for _, _, event in kafka.sent)
    assert first == again != other


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"signed_by": "110000"}, (401, "bad_signature")),
        ({"paasid": "110000"}, (401, "unknown_paasid")),
        ({"paasid": "tongban"}, (401, "unknown_paasid")),  # a call of our own, reflected
        ({"path": "/p/510000/api/v1/applications"}, (401, "bad_signature")),
        ({"sent": b'{"notice_id": "n-2"}'}, (401, "bad_signature")),
        ({"shift": -WINDOW_SECONDS - 5}, (401, "stale")),
        ({"shift": WINDOW_SECONDS + 5}, (401, "stale")),
        ({"body": b"not json"}, (400, "bad_request")),
        ({"body": b"[]"}, (400, "bad_request")),
        ({"body": {"request_id": REQUEST}}, (400, "bad_request")),
        ({"body": {"notice_id": "n 1", "request_id": REQUEST}}, (400, "bad_request")),
        ({"body": {"notice_id": "n-1", "request_id": 1}}, (400, "bad_request")),
        ({"body": {"notice_id": "n-1", "request_id": "r-" + "0" * 29}}, (404, "unknown")),
        ({"body": {"notice_id": "n-1", "request_id": "../../etc"}}, (404, "unknown")),
        ({"body": b"x" * (callbacks.BODY_LIMIT + 1)}, (413, "too_large")),
        ({"province": "990000"}, (404, "no_such_province")),
    ],
)
async def test_callback_without_valid_signature_is_not_published(
    province: Province, kafka: Kafka, how: dict[str, Any], said: tuple[int, str]
) -> None:
    assert await province.call(**how) == said
    assert kafka.sent == []


async def test_a_recorded_callback_is_refused(province: Province, kafka: Kafka) -> None:
    assert await province.call(nonce="recorded-1") == (200, "ok")
    assert await province.call(nonce="recorded-1") == (401, "replayed")
    assert len(kafka.sent) == 1


async def test_nothing_is_confirmed_before_kafka_has_it(province: Province, kafka: Kafka) -> None:
    kafka.acknowledges.clear()
    calling = asyncio.create_task(province.call())
    done, _ = await asyncio.wait([calling], timeout=0.2)
    assert not done
    kafka.away = True
    kafka.acknowledges.set()
    assert await calling == (503, "try_again")
    kafka.away = False
    assert await province.call() == (200, "ok")


async def test_a_body_without_a_length_is_read_within_bounds(
    province: Province, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "READ_TIMEOUT_S", 0.2)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 4096

    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    for body, status in ((endless(), 413), (stalling(), 408)):
        async with province.http.post(
            f"{province.url}/callbacks/{SICHUAN}", data=body, headers=head()
        ) as reply:
            assert reply.status == status
    assert kafka.sent == []


def head(province: str = SICHUAN) -> dict[str, str]:
    """The head of a province, whatever follows."""
    return sign_request(
        province_token(SECRET, province), method="POST", target=f"/callbacks/{province}",
        body=b"", timestamp=int(time.time()), nonce=uuid.uuid4().hex, paasid=province,
    )  # fmt: skip


async def _stalled(province: Province, headers: dict[str, str], code: str = SICHUAN) -> int:
    """Send a head and no body; the status."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b"{"  # the client sends its head with the first piece
        await asyncio.sleep(4)

    async with province.http.post(
        f"{province.url}/callbacks/{code}", data=nothing(), headers=headers
    ) as reply:
        return reply.status


async def test_stalled_strangers_do_not_keep_provinces_out(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_AT_ONCE", 3)
    strangers = [asyncio.create_task(_stalled(province, {})) for _ in range(20)]
    await asyncio.sleep(0)
    assert await province.call() == (200, "ok")
    assert set(await asyncio.wait_for(asyncio.gather(*strangers), 30)) == {401}


async def test_province_that_stalls_keeps_no_other_out(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_OF_ONE", 2)
    monkeypatch.setattr(callbacks, "READ_TIMEOUT_S", 2.0)
    stalled = [asyncio.create_task(_stalled(province, head())) for _ in range(4)]
    done, _ = await asyncio.wait(stalled, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result() for task in done} == {503}
    other = await province.call(province="110000", signed_by="110000", paasid="110000")
    assert other == (200, "ok")
    assert sorted(await asyncio.gather(*stalled)) == [408, 408, 503, 503]


async def test_packed_callback_is_not_unpacked(province: Province) -> None:
    packed = gzip.compress(b"0" * 50_000_000)
    async with province.http.post(
        f"{province.url}/callbacks/{SICHUAN}",
        data=packed[:8000],
        headers={**head(), "Content-Encoding": "gzip"},
    ) as reply:
        assert (reply.status, await reply.json()) == (415, {"code": "packed"})


async def test_no_more_than_so_many_wait_for_kafka(
    province: Province, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_AT_ONCE", 3)
    kafka.acknowledges.clear()
    calls = [asyncio.create_task(province.call()) for _ in range(8)]
    refused, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    while len(waiting) > 3:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        refused |= more
    assert {call.result() for call in refused} == {(503, "busy")}
    kafka.acknowledges.set()
    assert set(await asyncio.gather(*waiting)) == {(200, "ok")}


async def test_one_that_talks_too_much_is_slowed_down(province: Province, kafka: Kafka) -> None:
    answers = await asyncio.gather(*(province.call() for _ in range(60)))
    assert {answer for answer in answers if answer != (200, "ok")} == {(429, "throttled")}
    assert 20 <= len(kafka.sent) == answers.count((200, "ok")) < 60
    other = await province.call(province="110000", signed_by="110000", paasid="110000")
    assert other == (200, "ok"), "the others are heard"


async def test_callback_of_either_secret_is_accepted_and_answered_under_it(kafka: Kafka) -> None:
    """While the gateway secret is rotated, a province calls back under the old or the new one."""
    endpoint = CallbackEndpoint(
        {SICHUAN: 20}, producer=kafka, clock=BusinessClock.real(),
        gateway_secrets=("n" * 32, SECRET), id_secret=ID_SECRET,
    )  # fmt: skip
    server = HealthServer(host="127.0.0.1", port=0, live={}, ready={}, routes=endpoint.routes())
    async with server, aiohttp.ClientSession() as http:
        # `call` signs with SECRET, and verifies the answer's signature with it.
        assert await Province(http, f"http://127.0.0.1:{server.port}").call() == (200, "ok")
