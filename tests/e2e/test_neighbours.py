"""Provinces in trouble, through real processes: one's trouble stays its own, and is waited out."""

from __future__ import annotations

import hashlib
import signal
import time

import pytest

from tests.e2e.chain_kit import CLOCK, KEYS, Chain, chain_on, until
from tongban_common import topics
from tongban_common.domain.status import OutcomeKind
from tongban_common.events.models import DocumentRef, WithdrawalAsked
from tongban_common.store import DocumentStore, Store
from tongban_devstack.embedded import EmbeddedKafka

pytestmark = pytest.mark.long

MAKES_DOCUMENTS, MAKES_THEM_LATER, MAKES_NONE = "110000", "210000", "120000"
"""Signed REST; with a receipt, so that a look-up brings it; signed REST."""
MAKES_THEM_OVER_SOAP = "230000"


def documents_of(chain: Chain, request: str) -> list[DocumentRef]:
    (completed,) = [
        outcome
        for outcome in chain.outcomes
        if outcome.request_id == request and outcome.outcome is OutcomeKind.COMPLETED
    ]
    return completed.documents


def causes(chain: Chain, request: str) -> list[str | None]:
    return [
        outcome.cause
        for outcome in chain.outcomes
        if outcome.request_id == request and outcome.outcome is OutcomeKind.WAITING
    ]


@pytest.mark.parametrize("province", [MAKES_DOCUMENTS, MAKES_THEM_OVER_SOAP])
async def test_a_provinces_own_document_is_kept_and_its_reference_travels(
    chain: Chain, province: str
) -> None:
    own = await chain.submit(1, province, key=f"own-{province}-")
    none = await chain.submit(2, MAKES_NONE, key=f"own-{province}-")
    later = await chain.submit(3, MAKES_THEM_LATER, key=f"own-{province}-")
    await until(lambda: all(chain.completed[each] for each in (own, none, later)), "completion")
    assert len(documents_of(chain, later)) == 1
    assert documents_of(chain, none) == []
    (ref,) = documents_of(chain, own)
    assert (ref.title, ref.pages) == ("社保缴费证明", 1)
    store = Store(chain.store.address, "tongban")
    try:
        kept = await DocumentStore(store, KEYS).get(own, ref.document_id)
        raw = await store.collection("documents").find_one({"_id": ref.document_id})
    finally:
        store.close()
    assert kept is not None
    assert kept.ref == ref
    assert hashlib.sha256(kept.pdf).hexdigest() == ref.sha256
    assert not bytes(raw["box"]).startswith(b"%PDF"), "encrypted in the store"


async def test_a_store_that_is_down_is_waited_for(chain: Chain) -> None:
    """The outcome waits; the province acted once; who needs no store goes on."""
    chain.store.send_signal(signal.SIGKILL)
    await chain.store.stop()  # reaps what was killed
    request = await chain.submit(1, MAKES_DOCUMENTS, key="no-store-")
    other = await chain.submit(2, MAKES_NONE, key="no-store-")
    await until(lambda: "store" in causes(chain, request), "to hear of the store")
    await until(lambda: chain.completed[other] > 0, "the other's completion")
    assert not chain.completed[request]
    await chain.store.start()
    await until(lambda: chain.completed[request] > 0, "completion")
    assert len(documents_of(chain, request)) == 1
    assert (await chain.ledger())[request]["submit"] == 1


async def test_slow_and_down_provinces_do_not_delay_the_others(chain: Chain) -> None:
    """What goes to the others is all done before anything of the two is."""
    slow, down = "130000", "140000"
    await chain.faults(slow, latency_ms=7_000)
    await chain.faults(down, down=True)
    others = [code for code in topics.PROVINCES if code not in (slow, down)]
    troubled = [
        await chain.submit(number, province, key=f"trouble-{province}-")
        for province, count in ((down, 40), (slow, 150))
        for number in range(count)
    ]
    calm = [
        await chain.submit(number, others[number % 29], key="calm-trouble-")
        for number in range(116)
    ]
    await until(lambda: all(chain.completed[request] for request in calm), "the others")
    assert not any(chain.completed[request] for request in troubled[:40])
    # A hundred and fifty take turns at 32 places of the slow one.
    assert not all(chain.completed[request] for request in troubled[40:])
    shown = await chain.metrics("connectors")
    assert f'tongban_connector_circuit{{province="{down}"}} 0.0' not in shown
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    await until(lambda: all(chain.completed[request] for request in troubled), "the two")
    ledger = await chain.ledger()
    assert {ledger[request]["submit"] for request in [*calm, *troubled]} == {1}
    assert all(set(causes(chain, request)) <= {"down"} for request in troubled)


async def test_an_item_that_is_not_offered_is_rejected_with_a_reason(chain: Chain) -> None:
    await chain.faults("150000", unknown_items=["11310000002420"])
    request = await chain.submit(1, "150000", key="unknown-item-")
    await until(lambda: chain.status(request) == "rejected", "rejection")
    told = chain.statuses[request]
    assert told[max(told)].reason
    assert (await chain.ledger())[request]["submit"] == 0


async def test_throttled_requests_all_complete(chain: Chain) -> None:
    await chain.faults("320000", rate_per_s=10)
    submitted = [await chain.submit(number, "320000", key="throttle-") for number in range(40)]
    await until(lambda: all(chain.completed[request] for request in submitted), "all")
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    ledger = await chain.ledger()
    assert {ledger[request]["submit"] for request in submitted} == {1}
    async with chain.http.get(f"{chain.gateways}/ledger?province=320000") as reply:
        attempts = sum(line["attempts"] for line in await reply.json())
    assert attempts < 3 * len(submitted), "not each for itself"


async def test_a_flood_of_poison_stops_one_province_alone(chain: Chain) -> None:
    """Its topic is not drained into the dead letters, and the process lives on for the others."""
    poisoned = [
        await chain.submit(number, "630000", key="flood-", sealed_for="another-request")
        for number in range(60)
    ]
    stopped = 'tongban_connector_stopped{province="630000"} 1.0'

    async def told() -> bool:
        return stopped in await chain.metrics("connectors")

    await until(told, "the worker to stop")
    held = [request for request in poisoned if chain.status(request) == "held"]
    assert 0 < len(held) < len(poisoned)
    after = await chain.submit(1, "640000", key="after-flood-")
    await until(lambda: chain.completed[after] > 0, "another province's completion")
    assert chain.children["connectors"].alive
    async with chain.http.get(f"http://127.0.0.1:{chain.ports['connectors']}/livez") as reply:
        assert reply.status == 200, "a restart would not mend it"


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_closed_province_receives_waiting_requests_when_it_opens(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """On the last evening of the National Day week: nothing is sent before the morning after, what
    is withdrawn meanwhile is not sent at all, and a restart at night changes nothing."""
    directory = tmp_path_factory.mktemp("closed")

    def at(moment: str) -> dict[str, str]:
        clock = f"{moment}+08:00@1@{time.time()!r}"
        return {"TONGBAN_PROFILE": "realistic", "TONGBAN_CLOCK": clock}

    async with (
        EmbeddedKafka(directory / "kafka") as broker,
        chain_on(broker, directory, **at("2026-10-07T20:00:00")) as night,
    ):
        request = await night.submit(1, "110000", key="night-")
        taken_back = await night.submit(2, "110000", key="night-")
        await until(
            lambda: {night.status(request), night.status(taken_back)} == {"waiting_for_province"},
            "both to wait",
        )
        told = night.statuses[request]
        opens = told[max(told)].expected_by
        assert opens is not None
        assert opens.isoformat() == "2026-10-08T08:30:00+08:00"
        now = CLOCK.now()
        command = WithdrawalAsked(request_id=taken_back, command_id="w-1", at=now, by="k-1")
        await night.publisher.publish(
            topics.REQUESTS_COMMANDS, command, event_id=f"w-{taken_back}", at=now
        )
        await until(lambda: night.status(taken_back) == "withdrawn", "withdrawal at night")
        assert await night.ledger() == {}
        morning = at("2026-10-08T08:29:40")
        for name in ("gateways", "router", "connectors"):
            await night.kill(name, **morning)
        await until(
            lambda: night.status(request) in ("accepted", "completed"), "the province to open"
        )
        ledger = await night.ledger()
        assert ledger[request]["submit"] == 1
        assert taken_back not in ledger
