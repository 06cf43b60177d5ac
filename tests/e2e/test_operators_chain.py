"""Operators at work on a running chain, and the router under faults that nobody expected."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tests.e2e.chain_kit import BIN, CLOCK, Chain, until
from tests.integration.kafka.kit import read_all
from tongban_common import faultpoints, topics
from tongban_common.control.provinces import ProvinceControl
from tongban_common.domain import ids
from tongban_common.events import decode
from tongban_common.exit_codes import EX_TEMPFAIL
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import EventProducer, Snapshot
from tongban_ops.operators.dead_letters import (
    DeadLetter,
    DeadLetterSelection,
    known_groups,
    read_dead_letters,
)
from tongban_ops.operators.provinces import standings, write_controls
from tongban_ops.operators.replay_execution import execute_replays, send_all
from tongban_ops.operators.replays import Operator, decision, plan

pytestmark = pytest.mark.long

LI = Operator(by="li", at=CLOCK.now())


async def pause(chain: Chain, province: str, *, paused: bool = True, reason: str = "") -> None:
    control = ProvinceControl(
        province=province, paused=paused, reason=reason, by="li", since=CLOCK.now()
    )
    await write_controls(chain.broker.address, [control])


async def put(
    chain: Chain, topic: str, key: str | None, value: bytes | None, **headers: str
) -> None:
    """A record that no service of ours would write."""
    pairs = [(name, text.encode()) for name, text in headers.items()]
    async with AIOKafkaProducer(bootstrap_servers=chain.broker.address) as producer:
        await producer.send_and_wait(topic, value, key.encode() if key else None, headers=pairs)


async def open_letters(chain: Chain, **wanted: Any) -> list[DeadLetter]:
    async with Snapshot(chain.broker.address) as snapshot:
        return await read_dead_letters(
            snapshot, DeadLetterSelection(**wanted), groups=known_groups()
        )


async def replay(chain: Chain, letters: Sequence[DeadLetter]) -> None:
    replays, refused = plan(letters, LI)
    assert not refused
    async with EventProducer(chain.broker.address, delivery_timeout=30) as producer:
        await execute_replays(producer, replays, LI)


async def effects(chain: Chain, requests: Sequence[str]) -> Counter[int]:
    ledger = await chain.ledger()
    return Counter(ledger.get(request, Counter())["submit"] for request in requests)


def all_in(chain: Chain, requests: Sequence[str], *statuses: str) -> bool:
    return all(chain.status(request) in statuses for request in requests)


async def test_a_paused_province_waits_and_goes_on(chain: Chain) -> None:
    await pause(chain, "510000", reason="系统升级")
    paused = await chain.submit(1, "510000", key="pause-")
    other = await chain.submit(2, "500000", key="pause-")
    await until(lambda: chain.status(paused) == "waiting_for_province", "waiting")
    await until(lambda: chain.status(other) == "completed", "the neighbour's completion")
    told = chain.statuses[paused]
    assert "系统升级" in (told[max(told)].reason or "")
    # A connector that starts again does not forget it.
    await chain.kill("connectors")
    await chain.ready("connectors")
    sichuan, chongqing = await standings(chain.broker.address, ["510000", "500000"])
    assert sichuan.control is not None
    assert (sichuan.control.paused, sichuan.lag >= 1) == (True, True)
    assert chongqing.control is None
    assert await effects(chain, [paused]) == Counter({0: 1})
    await pause(chain, "510000", paused=False)
    await until(lambda: chain.status(paused) == "completed", "completion after the pause")
    assert await effects(chain, [paused, other]) == Counter({1: 2})


async def test_poison_holds_its_request_until_it_is_replayed(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pause(chain, "440000")
    held = await chain.submit(1, "440000", key="hold-")
    await until(lambda: chain.status(held) == "waiting_for_province", "waiting")
    await put(chain, topics.REQUESTS_COMMANDS, held, b"\xff garbage")
    # What belongs to nobody is put aside as well, and stops nothing.
    await put(chain, topics.REQUESTS_SUBMITTED, None, b"{}", ce_id="1")
    await put(chain, topics.REQUESTS_COMMANDS, "nobody", None)
    await until(lambda: chain.status(held) == "held", "held")

    async def three() -> bool:
        return len(await open_letters(chain, groups=["tongban-router"])) == 3

    await until(three, "three dead letters")
    await pause(chain, "440000", paused=False)
    (letter,) = await open_letters(chain, request=held)
    assert letter.cause.startswith("header missing")
    # An operator's machine may die after the replay was sent and before it is marked.
    monkeypatch.setattr(faultpoints, "_points", faultpoints._parse("operator.before_mark!"))
    with pytest.raises(faultpoints.InjectedFaultError):
        await replay(chain, [letter])
    assert await open_letters(chain, request=held) == [letter]
    await replay(chain, [letter])
    await until(lambda: chain.status(held) == "completed", "completion after the replay")
    assert await effects(chain, [held]) == Counter({1: 1})
    assert "routed" in [e.status for e in chain.statuses[held].values() if e.by == "operator"]
    assert await open_letters(chain, request=held) == []


async def test_a_call_that_is_given_up_again_is_held_again_and_ends_at_once(chain: Chain) -> None:
    model = await chain.submit(1, "370000", key="model-")
    await until(lambda: chain.status(model) == "completed", "completion")
    records = await read_all(chain.broker.address, topics.REQUESTS_SUBMITTED, partitions=12)
    body = next(decode(r.value, r.headers).body for r in records if r.key == model.encode())
    request = ids.request_id("test", kiosk_id="k-1", branch_id="b-1", key="given-up-1")
    # Its envelope is another request's, and so cannot be opened.
    poisoned = body.model_copy(update={"request_id": request})
    await chain.publisher.publish(
        topics.REQUESTS_SUBMITTED, poisoned, event_id="given-up", at=CLOCK.now()
    )

    def holds() -> int:
        entries = chain.statuses.get(request, {}).values()
        return sum(e.status == "held" and not e.note for e in entries)

    for times in (1, 2):
        await until(lambda times=times: holds() == times, f"held {times} times")

        async def put_aside() -> bool:
            return len(await open_letters(chain, request=request)) == 1

        await until(put_aside, "the dead letter")
        if times == 1:
            await replay(chain, await open_letters(chain, request=request))
    fail = decision(request, "fail", LI, "fail-given-up")
    async with EventProducer(chain.broker.address, delivery_timeout=30) as producer:
        await send_all(producer, [fail])
    await until(lambda: chain.status(request) == "failed", "failed")
    assert await effects(chain, [request]) == Counter({0: 1})


async def test_a_replay_to_another_group_reaches_that_group_alone(chain: Chain) -> None:
    request = await chain.submit(1, "340000", key="replay-")
    await until(lambda: chain.completed[request] > 0, "completion")
    done = await read_all(chain.broker.address, topics.REQUESTS_COMPLETED, partitions=12)
    completed = next(record for record in done if record.key == request.encode())
    headers = {name: value.decode() for name, value in completed.headers if name != "ce_repeat"}
    story = {"dlt_topic": topics.REQUESTS_COMPLETED, "dlt_reason": "no printer"}
    await put(chain, "printing.dlt", request, completed.value, **headers, **story)
    await replay(chain, await open_letters(chain, groups=["printing"], cause="printer"))
    (again,) = await read_all(chain.broker.address, topics.replay("printing"))
    assert (again.key, again.value) == (completed.key, completed.value)
    assert dict(again.headers) == {
        **{name: text.encode() for name, text in headers.items()},
        "ce_repeat": b"true",
        "replay_of": b"printing@0",
    }


# -- the router ------------------------------------------------------------------------------


async def test_an_exception_anywhere_skips_nothing_and_doubles_nothing(chain: Chain) -> None:
    """Another attempt gets over a fault. Three in a row hold the request, or leave it finished, and
    an operator's replay lets it go on."""
    settled = [letter.id for letter in await open_letters(chain)]
    places = ("before_decide", "before_table", "after_table", "before_emit", "after_emit")
    once = [f"router.{place}:{8 + 5 * n}!" for n, place in enumerate(places)]
    await chain.kill("router", TONGBAN_FAULTPOINTS=",".join([*once, "router.before_announce!2"]))
    await chain.ready("router")
    requests = [await chain.submit(n, topics.PROVINCES[n], key="faults-") for n in range(20)]
    await until(lambda: all_in(chain, requests, "completed"), "completion in spite of faults")
    assert [letter for letter in await open_letters(chain) if letter.id not in settled] == []

    thrice = [f"router.{place}:{8 + 9 * n}!3" for n, place in enumerate(places)]
    await chain.kill("router", TONGBAN_FAULTPOINTS=",".join(thrice))
    await chain.ready("router")
    hard = [await chain.submit(n, topics.PROVINCES[n % 31], key="hard-") for n in range(40)]
    await until(lambda: all_in(chain, hard, "completed", "held"), "each to be completed or held")
    letters = [letter for letter in await open_letters(chain) if letter.id not in settled]
    # A fault that strikes while another's request is being held makes no letter of its own.
    assert 3 <= len(letters) <= len(places)
    assert {letter.cause for letter in letters} == {"failed again and again"}
    raised = {letter.header("exception").rsplit(".")[-1] for letter in letters}
    assert raised == {"InjectedFaultError"}
    assert json.loads(await page(chain, "router", "livez"))["ok"]
    await replay(chain, letters)
    await until(
        lambda: all(chain.completed[request] for request in [*requests, *hard]),
        "completion of what was replayed",
    )
    assert await effects(chain, [*requests, *hard]) == Counter({1: 60})


async def test_a_record_that_cannot_even_be_put_aside_is_read_again(chain: Chain) -> None:
    await chain.kill("router", TONGBAN_FAULTPOINTS="router.before_dead_letter!")
    await chain.ready("router")
    request = await chain.submit(1, "620000", key="unwritten-")
    await put(chain, topics.REQUESTS_COMMANDS, request, b"garbage")
    async with asyncio.timeout(60):
        assert await chain.children["router"].wait() == 75
    chain.start("router")
    await until(lambda: chain.completed[request] > 0, "completion")

    async def put_aside() -> bool:
        return len(await open_letters(chain, request=request)) == 1

    await until(put_aside, "the dead letter")


@pytest.mark.long
async def test_state_on_a_lost_router_disk_is_restored_from_topics(chain: Chain) -> None:
    """It died after writing its own table and before writing the changelog; the next one on this
    disk finds the state, and whoever comes without the disk must find it, too."""
    chain.children["connectors"].send_signal(signal.SIGKILL)
    await chain.children["connectors"].wait()
    await chain.kill("router", TONGBAN_FAULTPOINTS="router.after_table")
    request = await chain.submit(1, "630000", key="disk-")
    async with asyncio.timeout(60):
        assert await chain.children["router"].wait() == -signal.SIGKILL
    chain.start("router")
    await until(lambda: chain.status(request) == "routed", "routed")
    await until(lambda: all_read(chain), "the router's commit")
    chain.children["router"].send_signal(signal.SIGKILL)
    await chain.children["router"].wait()
    shutil.rmtree(chain.directory / "router")
    chain.start("router")
    chain.start("connectors")
    await until(lambda: chain.status(request) == "completed", "completion")
    assert await effects(chain, [request]) == Counter({1: 1})


async def all_read(chain: Chain) -> bool:
    """Whether the router has committed all that was submitted."""
    admin = AIOKafkaAdminClient(bootstrap_servers=chain.broker.address)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topics.ROUTER_APP)
    finally:
        await admin.close()
    async with Snapshot(chain.broker.address) as snapshot:
        ends = await snapshot.ends(await snapshot.partitions([topics.REQUESTS_SUBMITTED]))
    committed = {(tp.topic, tp.partition): known.offset for tp, known in offsets.items()}
    return all(end == 0 or committed.get(place, 0) >= end for place, end in ends.items())


@pytest.mark.long
async def test_routers_that_join_leave_and_die_under_load(chain: Chain) -> None:
    submitted: list[str] = []

    async def feed() -> None:
        for number in range(10_000):
            province = topics.PROVINCES[number % 31]
            submitted.append(await chain.submit(number, province, key="routers-"))
            await asyncio.sleep(0.1)

    feeding = asyncio.create_task(feed())
    first = asyncio.create_task(started_again(chain, "router", lambda: chain.start("router")))
    start_second(chain)
    other = asyncio.create_task(started_again(chain, "second", lambda: start_second(chain)))
    try:
        await until(lambda: taken(chain), "partitions of the second router")
        killed = chain.children["second"]
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        start_second(chain)
        await until(lambda: taken(chain), "partitions after its death")
        other.cancel()
        second = chain.children.pop("second")
        second.send_signal(signal.SIGTERM)
        await asyncio.wait_for(second.wait(), 30)
        feeding.cancel()
        await asyncio.wait([feeding])
        await until(
            lambda: all_in(chain, submitted, "completed"), "all to be completed", seconds=120
        )
        assert await effects(chain, submitted) == Counter({1: len(submitted)})
    finally:
        for task in (feeding, first, other):
            task.cancel()


async def started_again(chain: Chain, name: str, start: Callable[[], None]) -> None:
    """As a supervisor does it: a router ends itself where Faust passed records over in a rebalance,
    before that can be committed."""
    while True:
        child = chain.children[name]
        if await child.wait() == EX_TEMPFAIL:
            start()
        else:  # killed by the test, which starts the next one itself
            await asyncio.sleep(0.05)


def start_second(chain: Chain) -> None:
    chain.children["second"] = router(chain, 1)


def router(chain: Chain, number: int) -> ChildProcess:
    """One more router, with a name and a disk of its own."""
    name = f"router-{number}"
    settings = {
        "TONGBAN_KAFKA": chain.broker.address,
        "TONGBAN_HTTP_PORT": str(chain.ports.setdefault(name, free_port())),
        "TONGBAN_INSTANCE": name,
        "TONGBAN_DATA": str(chain.directory / name),
    }
    argv = [str(BIN / "python"), str(BIN / "tongban-router")]
    log = chain.directory / f"{name}.log"
    return ChildProcess(ChildSpec(name, argv, log, {**os.environ, **settings}))


async def taken(chain: Chain) -> bool:
    """Whether the second router has handled something."""
    metrics = await page(chain, "router-1", "metrics")
    return any(
        line.startswith("tongban_router_events_total{") and not line.endswith(" 0.0")
        for line in metrics.splitlines()
    )


async def page(chain: Chain, name: str, what: str) -> str:
    try:
        async with chain.http.get(f"http://127.0.0.1:{chain.ports[name]}/{what}") as reply:
            return await reply.text()
    except aiohttp.ClientError:
        return ""
