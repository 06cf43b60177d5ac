"""Records that cannot be handled: what happens to them, to their key, and to a flood of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.kafka.kit import (
    committed,
    ends,
    eventually,
    key_of,
    make_place,
    number_of,
    produce,
    read_all,
    registry,
    running,
)
from tongban_kafka import (
    Cause,
    DeadLetterLimit,
    DeadLetterLimitError,
    EventProducer,
    KafkaUnavailableError,
    Poison,
    Record,
    Retry,
    RetryPolicy,
    Worker,
)

QUICK = RetryPolicy(first=0.01, longest=0.02, max_attempts=3)


class StoreDown(Exception):
    pass


async def test_poison_and_exhausted_records_are_dead_lettered_with_their_cause(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    handled: list[int] = []
    told: list[tuple[int, str]] = []

    async def handle(record: Record) -> None:
        if number_of(record) == 3:
            raise Poison("no such item")
        if number_of(record) == 5:
            raise ZeroDivisionError("张三")
        handled.append(number_of(record))

    async def on_dead_letter(record: Record, cause: Cause) -> None:
        # The hook is repeated until it succeeds, and only then is the dead letter written.
        told.append((number_of(record), cause.reason))
        if len(told) == 1:
            raise ConnectionError

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{number % 3}", number) for number in range(9)])
        worker = Worker(
            place.config(retry=QUICK),
            [place.topic],
            handle,
            producer=producer,
            on_dead_letter=on_dead_letter,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: len(handled) == 7 and worker.progress().in_flight == 0)
        # What comes behind a dead record of the same key is handled, in order.
        assert [number for number in handled if number % 3 == 0] == [0, 6]
    dead = {int(record.value): record for record in await read_all(kafka, place.dead_letters)}
    assert set(dead) == {3, 5}
    assert sorted(number for number, _ in told)[0] == 3
    assert len(told) == 3
    poison, hopeless = (dict(dead[number].headers) for number in (3, 5))
    assert dead[3].key == b"k0"
    assert poison["n"] == b"3"
    assert poison["dlt_reason"] == b"no such item"
    assert poison["dlt_attempts"] == b"1"
    assert poison["dlt_topic"].decode() == place.topic
    assert hopeless["dlt_exception"] == b"builtins.ZeroDivisionError"
    assert hopeless["dlt_attempts"] == b"3"
    assert not any("张三".encode() in value for value in hopeless.values())
    assert await committed(place) == await ends(place)


@pytest.mark.parametrize("error", [Retry("down"), KafkaUnavailableError("down"), StoreDown()])
async def test_retriable_failure_is_never_dead_lettered(kafka: str, error: Exception) -> None:
    place = await make_place(kafka, partitions=1)
    attempts = 0

    async def handle(_: Record) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 15:
            raise error

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        worker = Worker(
            place.config(retry=QUICK, transient_errors=(StoreDown,)),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: attempts == 15 and worker.progress().in_flight == 0)
    assert await read_all(kafka, place.dead_letters) == []


async def test_a_retry_blocks_its_own_key_alone(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    handled: list[tuple[str, int]] = []
    loop = asyncio.get_running_loop()
    retried_at: list[float] = []

    async def handle(record: Record) -> None:
        if number_of(record) == 0 and record.attempt <= 2:
            retried_at.append(loop.time())
            raise Retry("not yet", after=0.3)
        handled.append((key_of(record), number_of(record)))

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0), ("a", 1), ("b", 2), ("c", 3)])
        worker = Worker(
            # One lane: a record that waits for its retry must not occupy it.
            place.config(concurrency=1),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: len(handled) == 2)
            assert handled == [("b", 2), ("c", 3)]
            await eventually(lambda: len(handled) == 4)
    assert handled[2:] == [("a", 0), ("a", 1)]
    assert 0.29 <= retried_at[1] - retried_at[0] < 2


async def test_dead_letter_limit_stops_the_worker_and_survives_its_restart(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    limit = DeadLetterLimit(max_count=5, ratio_from=1000, window=600.0)
    handled: list[int] = []

    async def handle(record: Record) -> None:
        if number_of(record) >= 10:
            raise Poison("a bad release")
        handled.append(number_of(record))

    async def live(producer: EventProducer) -> Worker:
        worker = Worker(
            place.config(dead_letter_limit=limit),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        with pytest.raises(DeadLetterLimitError, match="allows"):
            await asyncio.wait_for(worker.run(), 20)
        return worker

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(40)])
        worker = await live(producer)
        assert not worker.healthy()
        for _ in range(2):
            await live(producer)
        assert sorted(set(handled)) == list(range(10))
    assert len(await read_all(kafka, place.dead_letters)) == 5
    # What was not put aside is still to be done.
    assert sum((await ends(place)).values()) - sum((await committed(place)).values()) >= 25


async def test_dead_letters_wait_for_kafka(kafka: str) -> None:
    """The record counts as done only when its dead letter has been acknowledged."""
    place = await make_place(kafka, partitions=1)

    class Unwilling:
        def __init__(self, producer: EventProducer) -> None:
            self.producer = producer
            self.asked = 0
            self.gate = asyncio.Event()

        async def send(
            self,
            topic: str,
            *,
            key: bytes | None,
            value: bytes | None,
            headers: list[tuple[str, bytes]],
        ) -> None:
            self.asked += 1
            if not self.gate.is_set():
                raise KafkaUnavailableError("not now")
            await self.producer.send(topic, key=key, value=value, headers=headers)

    attempts: dict[int, int] = defaultdict(int)

    async def handle(record: Record) -> None:
        attempts[number_of(record)] += 1
        raise Poison("bad")

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        sink = Unwilling(producer)
        worker = Worker(
            place.config(retry=QUICK), [place.topic], handle, producer=sink, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: sink.asked >= 3)
            assert worker.progress().in_flight == 1
            assert await committed(place) in ({}, {0: 0})
            sink.gate.set()
            await eventually(lambda: worker.progress().in_flight == 0)
    assert attempts == {0: 1}
    assert await committed(place) == {0: 1}


async def test_a_record_too_large_for_its_story_goes_aside_without_its_value(kafka: str) -> None:
    """The largest that a broker takes, with the headers of a dead letter, it takes no more."""
    place = await make_place(kafka, partitions=1)
    handled: list[int] = []
    size = 1_048_400

    async def handle(record: Record) -> None:
        if record.value is None or len(record.value) == size:
            raise Poison("no event")
        handled.append(number_of(record))

    raw = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=2 * size)
    await raw.start()
    try:
        await raw.send_and_wait(place.topic, b"x" * size, key=b"k", headers=[("ce_id", b"1")])
    finally:
        await raw.stop()
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("k", 7)])
        worker = Worker(
            place.config(retry=QUICK), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: handled == [7])
    [dead] = await read_all(kafka, place.dead_letters)
    told = dict(dead.headers)
    assert (dead.key, dead.value) == (b"k", b"")
    assert (told["dlt_value_bytes"], told["dlt_offset"]) == (b"%d" % size, b"0")
    assert told["ce_id"] == b"1"
    assert await committed(place) == await ends(place)
