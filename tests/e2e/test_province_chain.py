"""From requests.submitted to the gateways' ledger and back, through real processes that are killed.

What is submitted is counted, what took effect is counted at the simulated outside, and the two are
compared.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from collections import Counter
from datetime import timedelta

import pytest

from tests.e2e.chain_kit import CLOCK, KEYS, Chain, request_id_of, until
from tongban_common import topics
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    Origin,
    RequestSubmitted,
    WithdrawalAsked,
)

pytestmark = pytest.mark.long


async def test_each_province_completes_once(chain: Chain) -> None:
    submitted = [
        await chain.submit(number, province, key="calm-")
        for number, province in enumerate(topics.PROVINCES)
    ]
    await until(
        lambda: all(chain.completed[request] for request in submitted), "all to be completed"
    )
    ledger = await chain.ledger()
    assert {request: ledger[request]["submit"] for request in submitted} == dict.fromkeys(
        submitted, 1
    )


async def test_first_record_of_a_partition_sent_while_the_router_was_dead_is_read(
    chain: Chain,
) -> None:
    """No offset is committed there yet, so nothing but the beginning tells where to go on."""
    submitted = [await chain.submit(n, "310000", key="first-") for n in range(36)]
    await until(lambda: all(chain.completed[each] for each in submitted), "completion")
    chain.children["router"].send_signal(signal.SIGKILL)
    await chain.children["router"].wait()
    now = CLOCK.now()
    for request in submitted:
        command = WithdrawalAsked(request_id=request, command_id="w-1", at=now, by="k-1")
        await chain.publisher.publish(
            topics.REQUESTS_COMMANDS, command, event_id=f"first-w-{request}", at=now
        )
    chain.start("router")

    def noted(request: str) -> bool:
        return any(entry.note for entry in chain.statuses[request].values())

    await until(lambda: all(map(noted, submitted)), "all withdrawals noted")


async def test_repeated_callbacks_complete_the_request_once(
    chain: Chain,
) -> None:
    """Receipt, callback, look-up, result; the callbacks that come later move nothing."""
    await chain.faults("510000", repeat_callbacks=3)
    request = await chain.submit(1, "510000", key="callback-")
    await until(lambda: chain.notices[request] >= 4, "the callback and its repeats")
    await until(lambda: chain.completed[request] > 0, "completion")
    told = [entry.status.value for entry in chain.statuses[request].values()]
    assert told == ["submitted", "routed", "accepted", "completed"]
    said = [(o.call, o.outcome) for o in chain.outcomes if o.request_id == request]
    assert (CallKind.SUBMIT, OutcomeKind.ACCEPTED) in said
    assert (CallKind.POLL, OutcomeKind.COMPLETED) in said
    answers = [o for o in chain.outcomes if o.request_id == request]
    assert {o.receipt for o in answers} == {None}
    receipts = {KEYS.open(request, o.sealed, "receipt") for o in answers if o.sealed}
    assert len(receipts) == 1
    assert (await chain.ledger())[request]["submit"] == 1


async def test_request_without_callbacks_completes_by_polling(chain: Chain) -> None:
    await chain.faults("520000", lose_callbacks_rate=1)
    request = await chain.submit(1, "520000", key="silent-")
    # The promise of the profile `prompt` with the slack that a busy machine needs.
    await until(lambda: chain.completed[request] > 0, "completion", seconds=40)
    assert chain.notices[request] == 0
    assert (await chain.ledger())[request]["submit"] == 1


async def test_a_withdrawal_after_completion_is_noted_and_changes_nothing(chain: Chain) -> None:
    request = await chain.submit(1, "340000", key="late-withdrawal-")
    await until(lambda: chain.completed[request] > 0, "completion")
    now = CLOCK.now()
    command = WithdrawalAsked(request_id=request, command_id="w-1", at=now, by="k-1")
    await chain.publisher.publish(
        topics.REQUESTS_COMMANDS, command, event_id=f"w-{request}", at=now
    )
    await until(lambda: any(e.note for e in chain.statuses[request].values()), "a note")
    assert chain.status(request) == "completed"
    assert (await chain.ledger())[request]["withdraw"] == 0


async def test_kills_and_cut_connections_lose_and_double_nothing(chain: Chain) -> None:
    """Kill router and connectors while four provinces drop connections after acting."""
    dice = random.Random(20260302)
    # One of each manner: honours, refuses, twice; and one that acts twice and speaks SOAP.
    for province in ("110000", "120000", "130000", "310000"):
        await chain.faults(province, drop_after_commit_rate=0.5)
    await chain.faults("140000", error_rate=0.3)
    submitted: list[str] = []

    async def feed() -> None:
        for number in range(400):
            province = topics.PROVINCES[number % 31 if number % 2 else number % 4]
            submitted.append(await chain.submit(number, province, key="storm-"))
            await asyncio.sleep(0.02)

    async def kill() -> None:
        for name in ("connectors", "router", "connectors", "router", "connectors"):
            goal = len(submitted) + dice.randint(30, 60)
            await until(lambda goal=goal: len(submitted) >= min(goal, 400), "more submissions")
            await chain.kill(name)

    await asyncio.gather(feed(), kill())
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    await until(
        lambda: all(chain.completed[request] for request in submitted),
        "all to be completed",
        seconds=90,
    )
    ledger = await chain.ledger()
    effects = Counter(ledger.get(request, Counter())["submit"] for request in submitted)
    assert effects == Counter({1: 400})


async def test_router_on_a_fresh_disk_restores_open_requests(chain: Chain) -> None:
    """The table comes back from its changelog; a repeat of an old submission does nothing."""
    await chain.faults("640000", down=True)
    request = await chain.submit(1, "640000", key="fresh-disk-")
    await until(lambda: chain.status(request) == "waiting_for_province", "waiting")
    chain.children["router"].send_signal(signal.SIGKILL)
    await chain.children["router"].wait()
    shutil.rmtree(chain.directory / "router")
    chain.start("router")
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    await until(lambda: chain.completed[request] > 0, "completion")
    history = [(e.seq, e.status) for e in chain.statuses[request].values()]
    assert await chain.submit(1, "640000", key="fresh-disk-") == request
    again = await chain.submit(2, "640000", key="fresh-disk-")
    await until(lambda: chain.completed[again] > 0, "the next one's completion")
    assert [(e.seq, e.status) for e in chain.statuses[request].values()] == history
    assert (await chain.ledger())[request]["submit"] == 1


async def test_a_broker_killed_under_load_loses_and_doubles_nothing(chain: Chain) -> None:
    submitted: list[str] = []

    async def feed() -> None:
        for number in range(120):
            province = topics.PROVINCES[number % 31]
            submitted.append(await chain.submit(number, province, key="broker-"))
            await asyncio.sleep(0.02)

    feeding = asyncio.create_task(feed())
    await until(lambda: len(submitted) >= 40, "submissions")
    chain.broker.send_signal(signal.SIGKILL)
    await chain.broker.stop()  # reaps what was killed
    await chain.broker.start()
    await feeding
    await until(
        lambda: all(chain.completed[request] for request in submitted),
        "all to be completed",
        seconds=90,
    )
    ledger = await chain.ledger()
    assert Counter(ledger[request]["submit"] for request in submitted) == Counter({1: 120})


async def test_a_province_that_is_down_waits_and_goes_on(chain: Chain) -> None:
    await chain.faults("650000", down=True)
    request = await chain.submit(1, "650000", key="down-")
    await until(lambda: chain.status(request) == "waiting_for_province", "waiting to be told")
    told = chain.statuses[request]
    assert told[max(told)].reason
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    await until(lambda: chain.completed[request] > 0, "completion")
    assert (await chain.ledger())[request]["submit"] == 1


async def test_a_poison_event_is_put_aside_and_stops_nothing(chain: Chain) -> None:
    """A call whose envelope cannot be opened ends as held, with the partition going on."""
    now = CLOCK.now()
    request = await chain.submit(1, "370000", key="poison-before-")
    await until(lambda: chain.completed[request] > 0, "completion")
    poisoned = request_id_of("poison-key-1")
    sealed = KEYS.seal("another-request", {"applicant": {}, "form": {}})
    body = RequestSubmitted(
        request_id=poisoned,
        item=ItemSnapshot(
            code="1", version=1, name="n", category="c", province="370000", kind="query",
            promised_days=1,
        ),
        origin=Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service"),
        applicant=ApplicantFacts(type="person", pseudonym="p"),
        print=False,
        submitted_at=now,
        deadline=now + timedelta(days=7),
        body_digest="d",
        sealed=sealed,
    )  # fmt: skip
    await chain.publisher.publish(topics.REQUESTS_SUBMITTED, body, event_id="poison-event", at=now)
    await until(lambda: chain.status(poisoned) == "held", "held")
    assert [o.outcome for o in chain.outcomes if o.request_id == poisoned] == [OutcomeKind.HELD]
    after = await chain.submit(2, "370000", key="poison-after-")
    await until(lambda: chain.completed[after] > 0, "completion after the poison")
