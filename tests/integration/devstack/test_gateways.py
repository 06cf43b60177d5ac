"""The signed REST protocol of the province gateways, their manners and their ledger."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from tests.integration.devstack.simulation_kit import (
    HONOURS,
    REFUSES,
    SECRET,
    TWICE,
    Simulation,
    application,
    fresh,
    in_ms,
    simulation,
)
from tongban_devstack.gateways.provinces import load_provinces
from tongban_provinces.signing import (
    H_BODY_SIGNATURE,
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)


@pytest.fixture(scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    async with simulation("gateways", tmp_path_factory.mktemp("gateways")) as place:
        yield place


async def test_every_province_takes_an_application_and_knows_it(gateways: Simulation) -> None:
    async def one(province: str) -> None:
        request_id = fresh()
        status, submitted = await gateways.submit(province, request_id)
        known, said = await gateways.look_up(province, request_id)
        assert (known, said["request_id"], said["state"]) == (200, request_id, "completed")
        assert said["receipt"].startswith(province[:2])
        assert (said["supplements"], said["withdrawn"]) == (0, False)
        if load_provinces()[province].protocol == "rest_callback":
            receipt = {"request_id": request_id, "receipt": said["receipt"]}
            assert (status, submitted) == (202, receipt)
        else:
            assert (status, submitted) == (200, said)

    spoken = {code for code, each in load_provinces().items() if each.protocol != "soap"}
    assert len(spoken) == 22  # see test_gateways_soap.py for the others
    await asyncio.gather(*(one(province) for province in spoken))


async def test_the_result_is_that_of_the_item(gateways: Simulation) -> None:
    _, said = await gateways.submit(
        "340000", fresh(), form={"insured_city": "合肥市", "period_from": "2025-01",
                                 "period_to": "2025-03"},
    )  # fmt: skip
    result = said["result"]
    assert result["issuer"] == "安徽省人力资源和社会保障厅"
    assert {"label": "参保地", "value": "合肥市"} in result["facts"]
    assert {"label": "姓名", "value": "张三"} in result["facts"]
    assert result["table"]["columns"] == ["年月", "缴费基数", "单位缴纳", "个人缴纳"]
    assert [row[0] for row in result["table"]["rows"]] == ["2025-01", "2025-02", "2025-03"]


async def test_a_repeat_is_honoured_refused_or_done_again(gateways: Simulation) -> None:
    request_id = fresh()
    first = {p: await gateways.submit(p, request_id) for p in (HONOURS, REFUSES, TWICE)}
    again = {p: await gateways.submit(p, request_id) for p in (HONOURS, REFUSES, TWICE)}
    assert again[HONOURS] == first[HONOURS]
    status, said = again[REFUSES]
    assert (status, said["code"]) == (409, "duplicate")
    assert first[REFUSES][1].items() <= said.items(), "a refusal tells what is known"
    assert again[TWICE][0] == 200
    assert again[TWICE][1]["receipt"] != first[TWICE][1]["receipt"]
    lines = await gateways.get("/ledger", request_id=request_id)
    assert sorted((line["province"], line["attempts"], line["count"]) for line in lines) == [
        (HONOURS, 2, 1),
        (REFUSES, 2, 1),
        (TWICE, 2, 2),
    ]
    only = await gateways.get("/ledger", request_id=request_id, province=TWICE)
    assert only == [line for line in lines if line["province"] == TWICE]


async def test_simultaneous_repeats_take_effect_once_where_the_key_is_honoured(
    gateways: Simulation,
) -> None:
    request_id = fresh()
    answers = await asyncio.gather(*(gateways.submit(HONOURS, request_id) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert await gateways.ledger(request_id) == {"submit": (20, 1)}


async def test_final_application_never_changes(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.submit(HONOURS, request_id)
    status, said = await gateways.withdraw(HONOURS, request_id)
    assert (status, said["code"], said["state"]) == (409, "final", "completed")
    status, said = await gateways.supplement(HONOURS, request_id)
    assert (status, said["code"]) == (409, "not_awaited")
    assert await gateways.ledger(request_id) == {
        "submit": (1, 1),
        "supplement": (1, 0),
        "withdraw": (1, 0),
    }


async def test_unknown_is_said_with_a_signature(gateways: Simulation) -> None:
    request_id = fresh()
    for answer in (
        await gateways.look_up(HONOURS, request_id),
        await gateways.withdraw(HONOURS, request_id),
        await gateways.supplement(HONOURS, request_id),
    ):
        assert (answer[0], answer[1]["code"]) == (404, "unknown")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"request_id": "with space"}, "/request_id"),
        ({"request_id": "x" * 129}, "/request_id"),
        ({"kind": "dance"}, "/kind"),
        ({"act_before": "tomorrow"}, "/act_before"),
        ({"act_before": None}, "/act_before"),
        ({"applicant": {}}, "/applicant/name"),
        ({"form": []}, "/form"),
        ({"item_name": ""}, "/item_name"),
    ],
)
async def test_a_bad_body_is_refused_by_field(
    gateways: Simulation, change: dict[str, Any], where: str
) -> None:
    body = {**application(fresh()), **change}
    status, said = await gateways.call(HONOURS, "POST", "", body)
    assert (status, said["code"]) == (400, "bad_request")
    assert said["message"].startswith(where)


async def test_unknown_path_is_not_found(gateways: Simulation) -> None:
    status, said = await gateways.call(HONOURS, "DELETE", "/x")
    assert (status, said["code"]) == (404, "no_such_route")
    async with gateways.http.get(f"{gateways.url}/p/990000/api/v1/applications/x") as reply:
        assert (reply.status, (await reply.json())["code"]) == (404, "no_such_province")


async def test_a_body_beyond_all_bounds_is_refused(gateways: Simulation) -> None:
    message = Forged(form={"a": "x" * (1 << 20)})
    assert await message.send(gateways) == (413, "too_large")


# --- signature


class Forged:
    """A signed submission that can be changed after it was signed."""

    def __init__(
        self, *, timestamp: int | None = None, token: str | None = None, **changes: Any
    ) -> None:
        self.target = f"/p/{HONOURS}/api/v1/applications"
        self.token = token or province_token(SECRET, HONOURS)
        self.request_id = fresh()
        self.body = orjson.dumps(application(self.request_id, **changes))
        self.headers = sign_request(
            self.token,
            method="POST",
            target=self.target,
            body=self.body,
            timestamp=timestamp or int(time.time()),
            nonce=uuid.uuid4().hex,
        )

    async def send(self, place: Simulation) -> tuple[int, str]:
        async with place.http.post(
            place.url + self.target, data=self.body, headers=self.headers
        ) as reply:
            code = (await reply.json()).get("code", "")
            # Who was not believed could pass a signed no off as the answer to our message.
            believed = reply.status == 200 or code == "replayed"
            assert (H_BODY_SIGNATURE in reply.headers) is believed
            return reply.status, code


async def test_a_message_is_believed_once(gateways: Simulation) -> None:
    message = Forged()
    assert await message.send(gateways) == (200, "")
    assert await message.send(gateways) == (401, "replayed")
    assert await gateways.ledger(message.request_id) == {"submit": (1, 1)}


async def test_a_changed_message_is_not_believed(gateways: Simulation) -> None:
    message = Forged()
    message.body = message.body.replace("张三".encode(), "李四".encode())
    assert await message.send(gateways) == (401, "bad_signature")
    for name in ("x-tif-signature", "x-tif-body-signature", "x-tif-nonce", "x-tif-paasid"):
        message = Forged()
        del message.headers[name]
        assert await message.send(gateways) == (401, "missing_header")
    message = Forged()
    message.headers["x-tif-paasid"] = "somebody"
    assert await message.send(gateways) == (401, "unknown_paasid")
    message = Forged(token=province_token(SECRET, REFUSES))
    assert await message.send(gateways) == (401, "bad_signature")
    assert await gateways.ledger(message.request_id) == {}


async def test_headers_that_are_no_text_are_refused_like_others(gateways: Simulation) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateways.port)
    headers = {**Forged().headers, "Host": "x", "Connection": "close", "x-tif-nonce": "?" * 16}
    start = f"GET /p/{HONOURS}/api/v1/applications/x HTTP/1.1"
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode().replace(b"?" * 16, b"\xff" * 16))
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("seconds", [-400, 400])
async def test_a_message_of_another_time_is_not_believed(
    gateways: Simulation, seconds: int
) -> None:
    message = Forged(timestamp=int(time.time()) + seconds)
    assert await message.send(gateways) == (401, "stale")


async def test_an_answer_belongs_to_its_request(gateways: Simulation) -> None:
    message = Forged()
    async with gateways.http.post(
        gateways.url + message.target, data=message.body, headers=message.headers
    ) as reply:
        raw = await reply.read()
        with pytest.raises(SignatureError, match="not that of the request"):
            verify_response(
                message.token,
                reply.headers,
                status=200,
                body=raw,
                nonce=uuid.uuid4().hex,
                now=time.time(),
            )


# --- the process


async def test_metrics_and_probes_are_on_the_same_port(gateways: Simulation) -> None:
    assert (await gateways.get("/livez"))["ok"] is True
    async with gateways.http.get(f"{gateways.url}/metrics") as reply:
        assert "tongban_gateway_effects_total" in await reply.text()


async def test_a_kill_under_load_loses_and_doubles_nothing_that_was_answered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with simulation("gateways", tmp_path_factory.mktemp("killed")) as place:
        answered: list[str] = []
        enough = asyncio.Event()
        asked: list[str] = []

        async def client(province: str) -> None:
            while True:
                asked.append(request_id := fresh())
                try:
                    status, _ = await place.submit(province, request_id)
                except aiohttp.ClientError:
                    return  # killed
                assert status == 200
                answered.append(request_id)
                if len(answered) == 200:
                    enough.set()

        async with asyncio.TaskGroup() as clients:
            for province in (HONOURS, REFUSES, TWICE) * 4:
                clients.create_task(client(province))
            await enough.wait()
            await place.kill()
        await place.start()
        counts = {line["request_id"]: line["count"] for line in await place.get("/ledger")}
        assert all(counts[request_id] == 1 for request_id in answered)
        assert set(counts) <= set(asked)
        assert set(counts.values()) == {1}
        assert (await place.look_up(HONOURS, fresh()))[0] == 404


async def test_sigterm_with_waiting_clients_ends_the_process_at_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with simulation("gateways", tmp_path_factory.mktemp("ended")) as place:
        await place.fault(HONOURS, latency_ms=60_000)
        request_id = fresh()
        waiting = asyncio.create_task(place.submit(HONOURS, request_id))
        await place.submit(TWICE, fresh())
        assert await place.stop() == 0
        with pytest.raises(aiohttp.ClientError):
            await waiting
        await place.start()
        assert await place.ledger(request_id) == {}


async def test_act_before_is_kept_to(gateways: Simulation) -> None:
    request_id = fresh()
    for province in (HONOURS, REFUSES, TWICE):
        status, said = await gateways.submit(province, request_id, act_before=in_ms(-0.01))
        assert (status, said["code"]) == (408, "too_late")
        assert (await gateways.look_up(province, request_id))[0] == 404
    lines = await gateways.get("/ledger", request_id=request_id)
    assert [(line["attempts"], line["count"]) for line in lines] == [(1, 0)] * 3
