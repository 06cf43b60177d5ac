"""Logs of a real broker that a worker cannot simply read: every codec, a batch that unpacks to far
too much, a topic made anew, a group whose offsets are beyond the log."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.kafka.kit import (
    Place,
    Topic,
    committed,
    eventually,
    make_place,
    produce,
    read_all,
    registry,
    running,
)
from tongban_kafka import (
    CompactedView,
    EventProducer,
    KafkaUnavailableError,
    Poison,
    Record,
    Snapshot,
    Worker,
    apply_topics,
    read_newest,
)

_BOMB = bytes(70 * 1024 * 1024)


async def _write(kafka: str, topic: str, codec: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type=codec, max_request_size=100 * 1024 * 1024
    )
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, b"k", partition=0)
    finally:
        await producer.stop()


async def test_every_codec_is_read_and_a_bomb_becomes_one_dead_letter(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    handled: list[tuple[int, bytes | None]] = []

    async def handle(record: Record) -> None:
        handled.append((record.partition, record.value))

    async with EventProducer(kafka) as producer:
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            await _write(kafka, place.topic, codec, codec.encode())
        await _write(kafka, place.topic, "gzip", _BOMB)
        await _write(kafka, place.topic, "zstd", b"after")
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: (0, b"after") in handled)
    assert [value for _, value in handled] == [b"gzip", b"snappy", b"lz4", b"zstd", b"after"]
    (letter,) = await read_all(kafka, place.dead_letters)
    told = dict(letter.headers)
    assert told["dlt_base_offset"] == b"4"
    assert told["dlt_next_offset"] == b"5"
    assert (await committed(place))[0] == 6


async def test_records_with_strange_headers_are_put_aside_as_they_are(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)

    async def handle(_: Record) -> None:
        raise Poison("no event")

    strange = [
        (b"k", b"v", [("null", None), ("null", b"\xff\xfe")]),
        (None, b"v", [("", b"")]),
        (b"k", None, [("huge", b"x" * 1_000_000)]),
    ]
    foreign = AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=1_040_000)
    await foreign.start()
    try:
        for key, value, headers in strange:
            await foreign.send_and_wait(place.topic, value, key, headers=headers)
    finally:
        await foreign.stop()
    async with EventProducer(kafka) as producer:
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: worker.progress().in_flight == 0 and _ended(worker) == 3)
    letters = await read_all(kafka, place.dead_letters)
    assert [dict(letter.headers)["dlt_offset"] for letter in letters] == [b"0", b"1", b"2"]
    assert letters[0].headers[:2] == (("null", None), ("null", b"\xff\xfe"))


def _ended(worker: Worker) -> int:
    return sum(stats.dead_lettered for stats in worker._flow.stats.values())


async def test_view_and_snapshot_pass_over_a_batch_that_cannot_be_read(kafka: str) -> None:
    place = await make_place(kafka)
    name = f"{place.name}.view"
    await apply_topics(kafka, [Topic(name, 1, {"cleanup.policy": "compact"})])
    await _write(kafka, name, "gzip", _BOMB)
    await _write(kafka, name, "zstd", b"after")
    view = CompactedView(kafka, name, bytes.decode)
    task = asyncio.create_task(view.run())
    try:
        await eventually(lambda: view.ready)
        assert dict(view.values) == {"k": "after"}
        assert view.unreadable == 1
    finally:
        task.cancel()
    async with Snapshot(kafka) as snapshot:
        assert await snapshot.newest(name, bytes.decode) == {"k": "after"}
        assert [error.next_offset for error in snapshot.unreadable] == [1]
    with pytest.raises(KafkaUnavailableError, match="cannot be read"):
        await read_newest(kafka, name, bytes.decode)


async def _delete(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


@pytest.mark.long
async def test_topic_recreated_while_it_is_read_is_read_from_its_beginning(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    handled: list[Record] = []

    async def handle(record: Record) -> None:
        handled.append(record)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", number) for number in range(50)])
        worker = Worker(
            place.config(client={"metadata_max_age_ms": 1000}), [place.topic], handle,
            producer=producer, registry=registry(),
        )  # fmt: skip
        async with running(worker):
            await eventually(lambda: len(handled) == 50)
            await _delete(kafka, place.topic)
            await asyncio.sleep(1)  # the broker deletes in the background
            await apply_topics(kafka, [Topic(place.topic, 1)])
            await produce(producer, place.topic, [("a", number) for number in range(3)])
            await eventually(lambda: len(handled) >= 53)
    assert [record.offset for record in handled][50:] == [0, 1, 2]
    assert (await committed(place))[0] == 3


async def _commit(place: Place, offset: int) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=place.kafka, group_id=place.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(place.topic, 0)
        consumer.assign([tp])
        await consumer.commit({tp: offset})
    finally:
        await consumer.stop()


async def test_group_beyond_the_end_of_its_log_begins_at_its_beginning(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    handled: list[Record] = []

    async def handle(record: Record) -> None:
        handled.append(record)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", number) for number in range(10)])
        await _commit(place, 500)
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: len(handled) == 10)
            await produce(producer, place.topic, [("a", 10)])
            await eventually(lambda: len(handled) == 11)
    assert [record.offset for record in handled] == list(range(11))
    assert [record.maybe_seen for record in handled] == [True] * 10 + [False]
    assert (await committed(place))[0] == 11
