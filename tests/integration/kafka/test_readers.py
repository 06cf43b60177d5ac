"""Reading without a group: compacted views and tails. Restarts of the broker are in
test_worker_broker.py."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.integration.kafka.kit import Topic, eventually, number_of, reading
from tongban_kafka import (
    BroadcastTail,
    CompactedView,
    EventProducer,
    Record,
    apply_topics,
)


@pytest.fixture
async def topic(kafka: str) -> str:
    name = f"reader.{uuid.uuid4().hex[:10]}"
    await apply_topics(kafka, [Topic(name, 2, {"cleanup.policy": "compact"})])
    return name


async def test_view_holds_the_newest_value_of_each_key(kafka: str, topic: str) -> None:
    changes: list[tuple[str, int | None]] = []
    async with EventProducer(kafka) as producer:

        async def put(key: str, value: bytes | None) -> None:
            await producer.send(topic, key=key.encode(), value=value, headers=[])

        for number in range(10):
            await put(f"k{number}", b"%d" % number)
        await put("k0", b"100")
        await put("k1", None)
        await put("k2", b"not a number")
        view = CompactedView(kafka, topic, int, on_change=lambda *c: changes.append(c))
        assert not view.ready
        assert view.readiness() is not None
        async with reading(view):
            await asyncio.wait_for(view.wait_ready(), 10)
            expected = {f"k{n}": n for n in range(2, 10)} | {"k0": 100}
            assert dict(view.values) == expected
            assert view.undecodable == 1
            assert dict(changes) == expected
            assert view.readiness() is None
            changes.clear()
            await put("k3", b"33")
            await put("k4", None)
            await put("k4", None)
            await put("k5", b"also bad")
            await put("new", b"7")
            await eventually(lambda: view.get("new") == 7 and view.undecodable == 2)
            assert view.get("k5") == 5
            assert sorted(changes) == [("k3", 33), ("k4", None), ("new", 7)]


async def test_view_of_an_empty_topic_is_ready(kafka: str, topic: str) -> None:
    view = CompactedView(kafka, topic, int)
    async with reading(view):
        await asyncio.wait_for(view.wait_ready(), 10)
        assert dict(view.values) == {}


async def test_view_waits_for_its_topic(kafka: str) -> None:
    name = f"reader.{uuid.uuid4().hex[:10]}"
    view = CompactedView(kafka, name, int)
    async with reading(view):
        await asyncio.sleep(0)
        assert not view.ready
        await apply_topics(kafka, [Topic(name, 1, {"cleanup.policy": "compact"})])
        await asyncio.wait_for(view.wait_ready(), 10)


async def test_view_read_again_drops_keys_deleted_meanwhile(kafka: str, topic: str) -> None:
    """The tombstone itself may be compacted away by the time of the second reading."""
    changes: list[tuple[str, int | None]] = []
    async with EventProducer(kafka) as producer:
        await producer.send(topic, key=b"stays", value=b"1", headers=[])
        view = CompactedView(kafka, topic, int, on_change=lambda *c: changes.append(c))
        view._values["gone"] = 3
        view._values["stays"] = 1
        async with reading(view):
            await asyncio.wait_for(view.wait_ready(), 10)
            assert dict(view.values) == {"stays": 1}
            assert changes == [("gone", None)]


async def test_a_callback_that_fails_costs_one_call(kafka: str, topic: str) -> None:
    calls = 0

    def on_change(_: str, __: int | None) -> None:
        nonlocal calls
        calls += 1
        raise LookupError

    async with EventProducer(kafka) as producer:
        for number in range(3):
            await producer.send(topic, key=b"%d" % number, value=b"1", headers=[])
        view = CompactedView(kafka, topic, int, on_change=on_change)
        async with reading(view):
            await asyncio.wait_for(view.wait_ready(), 10)
            assert calls == 3
            assert len(view.values) == 3


async def test_every_tail_sees_every_new_record(kafka: str, topic: str) -> None:
    seen: list[list[Record]] = [[], []]
    async with EventProducer(kafka) as producer:
        await producer.send(topic, key=b"old", value=b"0", headers=[])
        tails = [BroadcastTail(kafka, [topic], part.append) for part in seen]
        async with reading(*tails):
            for tail in tails:
                await asyncio.wait_for(tail.wait_listening(), 10)
            for number in range(1, 101):
                key = b"%d" % (number % 5)
                producer.send_nowait(topic, key=key, value=b"%d" % number, headers=[("a", b"b")])
            await eventually(lambda: [len(part) for part in seen] == [100, 100])
    for part in seen:
        assert {number_of(record) for record in part} == set(range(1, 101))
        of_one_key = [number_of(record) for record in part if record.key == b"3"]
        assert of_one_key == sorted(of_one_key)
        assert part[0].header("a") == b"b"


async def test_tail_restarted_continues_where_it_stopped(kafka: str, topic: str) -> None:
    seen: list[int] = []
    async with EventProducer(kafka) as producer:
        tail = BroadcastTail(kafka, [topic], lambda record: seen.append(number_of(record)))
        async with reading(tail):
            await asyncio.wait_for(tail.wait_listening(), 10)
            await producer.send(topic, key=b"k", value=b"1", headers=[])
            await eventually(lambda: seen == [1])
        await producer.send(topic, key=b"k", value=b"2", headers=[])
        async with reading(tail):
            await producer.send(topic, key=b"k", value=b"3", headers=[])
            await eventually(lambda: seen == [1, 2, 3])
