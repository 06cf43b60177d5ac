"""Operators' commands on a running chain: what they show, and that nothing acts twice by them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.e2e.chain_kit import BIN, Chain, until
from tongban_common import topics
from tongban_kafka import partition_of

pytestmark = pytest.mark.long


async def tongban(chain: Chain, *arguments: str, code: int | None = 0) -> tuple[str, str]:
    """What a command says on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tongban"),
        *arguments,
        env={**os.environ, "TONGBAN_KAFKA": chain.broker.address, "TONGBAN_OPERATOR": "li"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert code is None or process.returncode == code, (arguments, out.decode(), err.decode())
    return out.decode(), err.decode()


async def told(chain: Chain, *arguments: str) -> Any:
    return json.loads((await tongban(chain, *arguments, "--json"))[0])


async def put(chain: Chain, topic: str, key: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=chain.broker.address) as producer:
        await producer.send_and_wait(topic, value, key.encode())


async def held(chain: Chain, province: str, key: str) -> str:
    """A request that was held before its province was called."""
    request = await chain.submit(1, province, key=key)
    await until(lambda: chain.status(request) == "waiting_for_province", "waiting")
    await put(chain, topics.REQUESTS_COMMANDS, request, b"\xff garbage")
    await until(lambda: chain.status(request) == "held", "held")
    return request


async def submits(chain: Chain, request: str) -> int:
    return (await chain.ledger()).get(request, Counter())["submit"]


async def test_held_request_resumed_by_several_operators_continues_once(chain: Chain) -> None:
    await tongban(chain, "province", "pause", "440000")
    resumed, replayed = await held(chain, "440000", "resume-"), await held(chain, "440000", "two-")

    (letter,) = await told(chain, "dlt", "list", "--request", resumed)
    done = await told(chain, "request", "resume", resumed, "--reason", "已修复")
    assert done == {"request_id": resumed, "decision": "resume", "settled": [letter["id"]]}
    # Two operators at once, by what is the same for both, and a third one late.
    chosen = ("dlt", "replay", "--group", "tongban-router", "--cause", "HEADER", "--since", "5m")
    (dry,) = await told(chain, *chosen, "--dry-run")
    assert (dry["request_id"], dry["replayed"]) == (replayed, False)
    assert chain.status(replayed) == "held"
    await asyncio.gather(*(tongban(chain, *chosen, code=None) for _ in range(2)))
    _, late = await tongban(chain, *chosen, code=66)
    assert "no open dead letter of tongban-router whose cause has 'HEADER'" in late
    await until(lambda: chain.status(resumed) != "held", "the router's word")
    _, no = await tongban(chain, "request", "resume", resumed, code=1)
    assert "is not held: it is" in no

    await tongban(chain, "province", "resume", "广东")
    both = (resumed, replayed)
    await until(lambda: all(chain.status(r) == "completed" for r in both), "completion")
    for request in both:
        assert await submits(chain, request) == 1
        told_ends = [e for e in chain.statuses[request].values() if e.status == "completed"]
        assert len(told_ends) == 1
    reasons = [e.reason for e in chain.statuses[resumed].values() if e.by == "operator"]
    assert reasons == ["已修复"]


async def test_commands_print_their_result_and_exit_code(chain: Chain) -> None:
    await tongban(chain, "province", "pause", "广东", "--for", "2h")
    request = await chain.submit(1, "440000", key="cli-")
    await until(lambda: chain.status(request) == "waiting_for_province", "waiting")
    await put(chain, topics.REQUESTS_COMMANDS, request, b"\xff garbage")
    await until(lambda: chain.status(request) == "held", "held")
    (letter,) = await told(chain, "dlt", "list", "--request", request)
    (shown, _), (dry, _), _ = await asyncio.gather(
        tongban(chain, "dlt", "show", letter["id"]),
        tongban(chain, "dlt", "replay", letter["id"], "--dry-run", "--json"),
        tongban(chain, "trace", "r-" + "0" * 29, code=66),
    )
    assert "ff 20 67" in shown
    assert json.loads(dry)[0]["topics"] == [topics.REQUESTS_COMMANDS]
    assert chain.status(request) == "held"
    await tongban(chain, "request", "fail", request, "--reason", "请到窗口办理")
    await until(lambda: any(e.note for e in chain.statuses[request].values()), "a note")
    assert await told(chain, "dlt", "list", "--request", request) == []
    story = await told(chain, "trace", request)
    await tongban(chain, "province", "resume", "440000")
    types = [step["type"] or step["topic"] for step in story["steps"]]
    assert types[0] == "tongban.request.submitted.v1"
    assert {"tongban-router.dlt", "tongban.request.operator.v1"} <= set(types)
    # The call that waited was never sent, and is not any more.
    await until(lambda: chain.status(request) == "failed", "its end")
    assert (await chain.ledger()).get(request, Counter())["submit"] == 0


async def test_province_list_shows_who_is_down_and_who_is_back(chain: Chain) -> None:
    async def shown(province: str) -> dict[str, Any]:
        lines = {line["province"]: line for line in await told(chain, "province", "list")}
        assert len(lines) == 31
        line: dict[str, Any] = lines[province]
        return line

    await chain.faults("330000", down=True)
    requests = [await chain.submit(number, "330000", key="down-") for number in range(8)]

    async def is_open() -> bool:
        line = await shown("330000")
        return line["circuit"] in ("open", "half_open") and line["waiting"] >= 1

    await until(is_open, "an open breaker in the list")
    line = await shown("330000")
    (connector,) = line["connectors"]
    assert (connector["instance"], connector["cause"]) == ("connectors-0", "down")
    assert line["lag"] >= line["waiting"] >= 1
    table, _ = await tongban(chain, "province", "list")
    assert any("330000" in row and "down since" in row for row in table.splitlines())
    other = await shown("320000")
    assert (other["circuit"], other["waiting"], other["paused"]) == ("closed", 0, False)

    await chain.faults("330000", down=False)
    await until(lambda: all(chain.status(r) == "completed" for r in requests), "completion")

    async def is_closed() -> bool:
        line = await shown("330000")
        return line["circuit"] == "closed" and line["connectors"][0]["cause"] is None

    await until(is_closed, "a closed breaker in the list")


async def test_hole_in_a_log_is_reported_and_stops_nothing(chain: Chain) -> None:
    """As if retention had overtaken a router that was away."""
    request = await chain.submit(1, "620000", key="hole-")
    await until(lambda: chain.status(request) == "completed", "completion")
    place = TopicPartition(
        topics.REQUESTS_COMMANDS, partition_of(request.encode(), topics.REQUEST_PARTITIONS)
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=chain.broker.address)
    await admin.start()
    try:
        await put(chain, place.topic, request, b"one")

        async def committed() -> int:
            offsets = await admin.list_consumer_group_offsets(topics.ROUTER_APP)
            return offsets[place].offset if place in offsets else -1

        async def is_committed() -> bool:
            return await committed() > 0

        await until(is_committed, "the router's commit")
        begin = await committed()
        # Stopped before the rest is written, so that it has read none of it.
        chain.children["router"].send_signal(signal.SIGKILL)
        await chain.children["router"].wait()
        for value in (b"two", b"three", b"four"):
            await put(chain, place.topic, request, value)
        await admin.delete_records({place: RecordsToDelete(before_offset=begin + 2)})
    finally:
        await admin.close()
    chain.start("router")
    router = chain.children["router"]
    await chain.ready("router")

    async def letters() -> list[str]:
        found = await told(chain, "dlt", "list", "--request", request, "--group", "tongban-router")
        return [letter["place"].partition("@")[2] for letter in found]

    async def is_put_aside() -> bool:
        return str(begin + 2) in await letters()

    await until(is_put_aside, "the record behind the hole")
    assert await letters() == [str(begin - 1), str(begin + 2)]
    assert router.alive
    log = (chain.directory / "router.log").read_text()
    assert log.count('"event":"router.offsets_missing"') == 1
    assert "records_passed_over" not in log
