"""The SOAP connector and the simulated SOAP provinces, over the wire: what is peculiar to SOAP."""

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

from tests.integration.devstack.protocols_kit import SPOKEN, submit
from tests.integration.devstack.simulation_kit import (
    SECRET,
    Simulation,
    fresh,
    simulation,
    until,
)
from tests.integration.devstack.test_gateways_profiles import MONDAY, SUNDAY, clock, request_with
from tongban_connectors.documents.keeper import whole
from tongban_connectors.domain.gateway import (
    BrokenAnswerError,
    Gateway,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.gateways.soap import SoapGateway
from tongban_devstack.gateways.provinces import load_provinces
from tongban_provinces.models import GatewayAnswer, GatewayState
from tongban_provinces.soap_envelope import ENV, PROVINCE, WSA, read

SOAP = {code: each for code, each in load_provinces().items() if each.protocol == "soap"}
SPEAKS = SPOKEN["soap"]
HONOURS, REFUSES, TWICE = SPEAKS.honours, SPEAKS.refuses, SPEAKS.twice
gateway = SPEAKS.gateway


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
        assert isinstance(known, GatewayAnswer)
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
        with pytest.raises(BrokenAnswerError, match="refused"):
            await speaks.fetch(request_id, wrong, start)


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
            assert isinstance(asked, GatewayAnswer)
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


async def _reaches(speaks: Gateway, request_id: str, state: GatewayState) -> None:
    async def there() -> bool:
        answer = await speaks.look_up(request_id)
        return isinstance(answer, GatewayAnswer) and answer.state is state

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
            with pytest.raises(RetryLaterError, match="closed") as caught:
                await submit(speaks, request_id, kind="query")
            # Until Monday 08:30 it is 20.5 hours, a tenth of that on the wall clock.
            assert 7200 <= caught.value.after_s <= 7380
            assert isinstance(await speaks.look_up(request_id), Unknown), "asking is possible"
            assert await place.ledger(request_id) == {"submit": (1, 0)}
        assert closed == 3


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
        with pytest.raises(UnclearAnswerError, match="without a signature"):
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


async def test_one_protocol_is_not_spoken_at_the_address_of_another(place: Simulation) -> None:
    async with place.http.get(f"{place.url}/p/{HONOURS}/api/v1/applications/x") as reply:
        assert reply.status == 404, "it does not speak REST"
    with pytest.raises(aiohttp.ClientResponseError):
        async with place.http.get(f"{place.url}/p/110000/soap?wsdl", raise_for_status=True):
            pass
