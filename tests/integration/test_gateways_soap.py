"""The SOAP connector and the simulated SOAP provinces, over the wire: effects, manners, faults."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pypdf
import pytest
import zeep
from lxml import etree

from tests.integration.simulation_kit import (
    SECRET,
    Simulation,
    application,
    fresh,
    simulation,
    until,
)
from tests.integration.test_gateways_profiles import MONDAY, SUNDAY, clock, request_with
from tongban_devstack.gateways.provinces import load_provinces
from tongban_devstack.ports import free_port
from tongban_router.connectors.documents import whole
from tongban_router.connectors.gateway import (
    Answer,
    Barred,
    Broken,
    Down,
    GatewayState,
    Later,
    Refused,
    Unclear,
    Unknown,
)
from tongban_router.connectors.soap import SoapGateway
from tongban_router.connectors.soap_envelope import ENV, PROVINCE, WSA, read

SOAP = {code: each for code, each in load_provinces().items() if each.protocol == "soap"}
HONOURS, REFUSES, TWICE = "220000", "230000", "310000"
"""One province of each manner."""


def gateway(
    place: Simulation, province: str, *, timeout_s: float = 20, **other: Any
) -> SoapGateway:
    return SoapGateway(
        place.http,
        f"{place.url}/p/{province}/soap",
        **{
            "province": province,
            "secret": SECRET,
            "connect_timeout_s": 5,
            "timeout_s": timeout_s,
            **other,
        },
    )


async def submit(
    speaks: SoapGateway, request_id: str, *, within: float = 60, **other: Any
) -> Answer:
    body = {**application(request_id), **other}
    del body["act_before"]
    return await speaks.submit(body, act_before=time.time() + within)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    async with simulation("gateways", tmp_path_factory.mktemp("soap")) as place:
        yield place


@pytest.fixture
async def place(running: Simulation) -> AsyncIterator[Simulation]:
    yield running
    await running.mend()


# --- effects and manners


async def test_every_soap_province_takes_an_application_and_knows_it(place: Simulation) -> None:
    async def one(province: str) -> None:
        speaks, request_id = gateway(place, province), fresh()
        assert isinstance(await speaks.look_up(request_id), Unknown)
        answer = await submit(speaks, request_id)
        assert (answer.request_id, answer.state) == (request_id, GatewayState.COMPLETED)
        assert answer.receipt is not None
        assert answer.receipt.startswith(province[:2])
        known = await speaks.look_up(request_id)
        assert isinstance(known, Answer)
        assert known.model_dump() == answer.model_dump()

    assert len(SOAP) == 9
    await asyncio.gather(*(one(province) for province in SOAP))


async def test_the_form_arrives_and_the_result_comes_back_whole(place: Simulation) -> None:
    form = {"insured_city": "长春市", "period_from": "2025-01", "period_to": "2025-03"}
    answer = await submit(gateway(place, HONOURS), fresh(), form=form)
    assert answer.result is not None
    assert answer.result.issuer == "吉林省人力资源和社会保障厅"
    facts = {fact.label: fact.value for fact in answer.result.facts}
    assert (facts["姓名"], facts["参保地"]) == ("张三", "长春市")
    assert answer.result.table is not None
    assert [row[0] for row in answer.result.table.rows] == ["2025-01", "2025-02", "2025-03"]


async def test_a_document_of_the_provinces_own_is_announced_and_handed_out(
    place: Simulation,
) -> None:
    speaks, request_id = gateway(place, REFUSES), fresh()
    answer = await submit(speaks, request_id)
    (document,) = answer.documents
    assert document.title == "社保缴费证明"
    pdf = await whole(document, lambda each, start: speaks.fetch(request_id, each, start))
    assert hashlib.sha256(pdf).hexdigest() == document.sha256
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) == 1
    assert (await submit(gateway(place, HONOURS), request_id)).documents == []
    for wrong in (document.model_copy(update={"name": "another"}), document):
        start = document.size if wrong is document else 0
        with pytest.raises(Broken, match="refused"):
            await speaks.fetch(request_id, wrong, start)


async def test_a_repeat_is_honoured_refused_or_done_again(place: Simulation) -> None:
    request_id = fresh()
    speaks = {province: gateway(place, province) for province in (HONOURS, REFUSES, TWICE)}
    first = {province: await submit(speaks[province], request_id) for province in speaks}
    again = {province: await submit(speaks[province], request_id) for province in speaks}
    assert again[HONOURS].model_dump() == first[HONOURS].model_dump()
    told = again[REFUSES].model_dump()
    assert told == first[REFUSES].model_dump(), "a refusal tells what is known"
    assert again[TWICE].receipt != first[TWICE].receipt
    lines = await place.get("/ledger", request_id=request_id)
    assert {line["province"]: (line["attempts"], line["count"]) for line in lines} == {
        HONOURS: (2, 1),
        REFUSES: (2, 1),
        TWICE: (2, 2),
    }


async def test_what_is_refused_clearly_had_no_effect(place: Simulation) -> None:
    speaks, request_id = gateway(place, HONOURS), fresh()
    soon = time.time() + 60
    with pytest.raises(Refused, match="unknown"):
        await speaks.withdraw(request_id, act_before=soon)
    with pytest.raises(Refused, match="unknown"):
        await speaks.supplement(request_id, "s-1", {"a": "b"}, act_before=soon)
    with pytest.raises(Barred, match="too_late"):
        await submit(speaks, request_id, within=-0.01)
    with pytest.raises(Refused, match="bad_request"):
        await submit(speaks, "with space")
    with pytest.raises(Refused, match="bad_request"):
        await submit(speaks, fresh(), kind="dance")
    await submit(speaks, request_id)
    with pytest.raises(Refused, match="final"):
        await speaks.withdraw(request_id, act_before=soon)
    with pytest.raises(Refused, match="not_awaited"):
        await speaks.supplement(request_id, "s-1", {"a": "b"}, act_before=soon)
    assert await place.ledger(request_id) == {
        "submit": (2, 1),
        "withdraw": (2, 0),
        "supplement": (2, 0),
    }


async def test_days_of_business_a_supplement_and_a_withdrawal(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    env = {"TONGBAN_PROFILE": "demo", "TONGBAN_CLOCK": clock(MONDAY, 300)}
    soon, late = MONDAY + timedelta(minutes=5), MONDAY + timedelta(minutes=35)
    async with simulation("gateways", tmp_path_factory.mktemp("soap-demo"), **env) as place:

        async def one(province: str, counts: tuple[int, int]) -> None:
            speaks = gateway(place, province)
            request_id = request_with(lambda each: (each.supplement_at or late) < soon)
            await submit(speaks, request_id, kind="handle")
            await _reaches(speaks, request_id, GatewayState.NEEDS_SUPPLEMENT)
            asked = await speaks.look_up(request_id)
            assert isinstance(asked, Answer)
            assert asked.reason == "申报材料不清晰，请补正后重新提交"
            for _ in range(2):  # the second one is honoured, refused or done again
                taken = await speaks.supplement(
                    request_id, "s-1", {"a": "b"}, act_before=time.time() + 60
                )
                assert taken.supplements == 1
            assert (await place.ledger(request_id))["supplement"] == counts
            await _reaches(speaks, request_id, GatewayState.COMPLETED)
            rejected = request_with(
                lambda each: each.rejection is not None and each.decided_at > late
            )
            await submit(speaks, rejected, kind="handle")
            withdrawn = await speaks.withdraw(rejected, act_before=time.time() + 60)
            assert (withdrawn.withdrawn, withdrawn.state) == (True, GatewayState.ACCEPTED)

        counts = {HONOURS: (2, 1), REFUSES: (2, 1), TWICE: (2, 2)}
        await asyncio.gather(*(one(*each) for each in counts.items()))


async def _reaches(speaks: SoapGateway, request_id: str, state: GatewayState) -> None:
    async def there() -> bool:
        answer = await speaks.look_up(request_id)
        return isinstance(answer, Answer) and answer.state is state

    await until(there, f"{request_id} to be {state}", within=60)


async def test_a_closed_province_says_when_to_come_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    env = {"TONGBAN_PROFILE": "realistic", "TONGBAN_CLOCK": clock(SUNDAY, 10)}
    async with simulation("gateways", tmp_path_factory.mktemp("soap-sunday"), **env) as place:
        closed = 0
        for code, province in SOAP.items():
            speaks, request_id = gateway(place, code), fresh()
            if not province.keeps_hours:
                await submit(speaks, request_id, kind="query")
                continue
            closed += 1
            with pytest.raises(Later, match="closed") as caught:
                await submit(speaks, request_id, kind="query")
            # Until Monday 08:30 it is 20.5 hours, a tenth of that on the wall clock.
            assert 7200 <= caught.value.after_s <= 7380
            assert isinstance(await speaks.look_up(request_id), Unknown), "asking is possible"
            assert await place.ledger(request_id) == {"submit": (1, 0)}
        assert closed == 3


# --- faults


async def test_a_cut_or_broken_answer_is_unclear_whatever_was_done(place: Simulation) -> None:
    speaks, request_id = gateway(place, TWICE), fresh()
    await place.fault(TWICE, drop_after_commit_rate=1)
    for attempts in (1, 2):
        with pytest.raises(Unclear):
            await submit(speaks, request_id)
        assert await place.ledger(request_id) == {"submit": (attempts, attempts)}
    answer = await speaks.look_up(request_id)
    assert isinstance(answer, Answer), "asking has no effect to lose"
    await place.fault(TWICE, error_rate=1)
    ids = [fresh() for _ in range(40)]
    errors = await asyncio.gather(*(submit(speaks, each) for each in ids), return_exceptions=True)
    assert {type(error) for error in errors} == {Unclear}
    # Pages of a proxy, and faults of a service bus that nobody signed.
    assert {str(error)[:4] for error in errors} == {"500 ", "502 ", "503 "}
    counts = [(await place.ledger(each))["submit"][1] for each in ids]
    assert 5 < sum(counts) < 35
    with pytest.raises(Unclear):
        await speaks.look_up(ids[0])
    await place.fault(TWICE, down=True)
    with pytest.raises(Unclear):
        await speaks.look_up(ids[0])


async def test_slow_provinces_are_unclear_in_time_and_act_within_it(place: Simulation) -> None:
    in_time, too_late = fresh(), fresh()
    speaks = gateway(place, REFUSES, timeout_s=0.5)
    await place.fault(REFUSES, latency_ms=2000)
    began = time.monotonic()
    results = await asyncio.gather(
        submit(speaks, in_time), submit(speaks, too_late, within=1.5), return_exceptions=True
    )
    assert [str(error) for error in results] == ["TimeoutError", "TimeoutError"]
    assert time.monotonic() - began < 1.9

    async def acted() -> bool:
        return await place.ledger(in_time) == {"submit": (1, 1)}

    await until(acted, "the effect that nobody waits for")
    assert await place.ledger(too_late) == {"submit": (1, 0)}
    await place.fault(TWICE, slow_commit_ms=500)
    with pytest.raises(Unclear):
        await submit(gateway(place, TWICE), in_time)
    lines = await place.get("/ledger", request_id=in_time, province=TWICE)
    assert [line["attempts"] for line in lines] == [1]


async def test_throttling_and_an_unknown_item_are_clear(place: Simulation) -> None:
    speaks = gateway(place, HONOURS)
    await place.fault(HONOURS, rate_per_s=1)
    answers = await asyncio.gather(
        *(submit(speaks, fresh()) for _ in range(10)), return_exceptions=True
    )
    throttled = [answer for answer in answers if isinstance(answer, Later)]
    assert len(throttled) >= 5
    assert {(each.cause, each.after_s) for each in throttled} == {("throttled", 1.0)}
    await place.fault(HONOURS, unknown_items=[application("r")["item_code"]])
    with pytest.raises(Refused, match="unknown_item"):
        await submit(speaks, fresh())


async def test_a_province_that_nobody_can_connect_to_is_down(place: Simulation) -> None:
    speaks = SoapGateway(
        place.http,
        f"http://127.0.0.1:{free_port()}/p/{HONOURS}/soap",
        province=HONOURS,
        secret=SECRET,
        connect_timeout_s=5,
        timeout_s=5,
    )
    with pytest.raises(Down):
        await submit(speaks, fresh())


# --- who speaks


async def post(place: Simulation, raw: bytes, province: str = HONOURS) -> tuple[int, bytes]:
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    url = f"{place.url}/p/{province}/soap"
    async with place.http.post(url, data=raw, headers=headers) as reply:
        return reply.status, await reply.read()


async def test_a_message_is_believed_once_and_whole(place: Simulation) -> None:
    kept: list[Any] = []

    class Kept(SoapGateway):
        async def _post(self, sent: Any) -> tuple[int, bytes]:
            kept.append(sent)
            return await super()._post(sent)

    def speak(**other: Any) -> Kept:
        return Kept(
            place.http,
            f"{place.url}/p/{HONOURS}/soap",
            **{
                "province": HONOURS,
                "secret": SECRET,
                "connect_timeout_s": 5,
                "timeout_s": 20,
                **other,
            },
        )

    request_id = fresh()
    await submit(speak(), request_id)
    sent = kept.pop()
    status, raw = await post(place, sent.raw)
    assert status == 500
    answer = read(raw)  # signed, as the message was the connector's
    assert answer.content.findtext(f"detail/{{{PROVINCE}}}Refusal/{{{PROVINCE}}}code") == "replayed"
    assert answer.text(WSA, "RelatesTo") == sent.message_id
    for raw in (
        sent.raw.replace("张三".encode(), "李四".encode()),
        sent.raw.replace(b"</wsa:To>", b"x</wsa:To>"),
        sent.raw.replace(b"<wsse:Username>tongban", b"<wsse:Username>somebody"),
        b"<html/>",
    ):
        status, said = await post(place, raw)
        root = etree.fromstring(said)
        assert (status, [part.tag for part in root]) == (500, [f"{{{ENV}}}Body"]), "unsigned"
    assert await place.ledger(request_id) == {"submit": (1, 1)}
    # Nor does another province or another secret believe it.
    other = fresh()
    for stranger in (speak(province=REFUSES), speak(secret="another")):
        with pytest.raises(Unclear, match="without a signature"):
            await submit(stranger, other)
    assert await place.ledger(other) == {}


async def test_the_wsdl_is_served_with_the_address_it_was_asked_at(place: Simulation) -> None:
    url = f"{place.url}/p/{HONOURS}/soap"
    async with place.http.get(f"{url}?wsdl") as reply:
        assert (reply.status, reply.content_type) == (200, "text/xml")
        described = zeep.wsdl.Document(io.BytesIO(await reply.read()), None)
    (port,) = described.services["ProvinceService"].ports.values()
    assert port.binding_options["address"] == url
    assert set(port.binding.all()) == {
        "Submit", "Supplement", "Withdraw", "LookUp", "FetchDocument",
    }  # fmt: skip
    async with place.http.get(url) as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")


async def test_a_body_beyond_all_bounds_and_another_operation_are_refused(
    place: Simulation,
) -> None:
    with pytest.raises(Unclear, match=r"413|ClientOSError|ServerDisconnected"):
        await submit(gateway(place, HONOURS), fresh(), form={"a": "x" * (1 << 20)})
    async with place.http.get(f"{place.url}/p/{HONOURS}/api/v1/applications/x") as reply:
        assert reply.status == 404, "it does not speak REST"
    with pytest.raises(aiohttp.ClientResponseError):
        async with place.http.get(f"{place.url}/p/110000/soap?wsdl", raise_for_status=True):
            pass
