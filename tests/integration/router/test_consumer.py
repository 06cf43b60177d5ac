"""The router's consumer goes back to what was fetched and dropped, and notices what was not."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from tests.integration.kafka.kit import make_place, produce
from tongban_kafka import EventProducer
from tongban_router.faust_runtime import consumer as router_consumer
from tongban_router.faust_runtime.batch_reader import BatchReader
from tongban_router.faust_runtime.offsets import GapDetector, RecordsSkippedError


class Thread(router_consumer.RewindingThread):
    """The thread's seeking, around a consumer of the test's."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._reader = BatchReader("group")

    def _ensure_consumer(self) -> AIOKafkaConsumer:
        return self._consumer


async def two_records(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[TopicPartition, AIOKafkaConsumer]:
    """Return the partition of a topic with two records, and a consumer that has not started."""
    place = await make_place(kafka, partitions=1)
    monkeypatch.setattr(router_consumer, "SOURCES", (place.topic,))
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("k", 0), ("k", 1)])
    consumer = AIOKafkaConsumer(
        place.topic,
        bootstrap_servers=kafka,
        group_id=place.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    return TopicPartition(place.topic, 0), consumer


@pytest.mark.parametrize("commit", [None, 0, 1])
async def test_dropped_records_are_fetched_again(
    kafka: str, monkeypatch: pytest.MonkeyPatch, commit: int | None
) -> None:
    tp, consumer = await two_records(kafka, monkeypatch)
    async with consumer:
        first = await consumer.getone()  # fetched; and now Faust drops it, for a rebalance
        if commit is not None:
            await consumer.commit({tp: commit})
        thread = Thread(consumer)
        committed, positions, ends, _ = await thread._targets()
        await thread._go_to(positions)
        again = await consumer.getone()
    assert (first.offset, again.offset) == (0, commit or 0)
    assert (committed, positions) == ({tp: commit}, {tp: commit or 0})
    assert ends == {tp: 2}


async def test_a_partition_committed_beyond_its_end_begins_again(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp, consumer = await two_records(kafka, monkeypatch)
    async with consumer:
        await consumer.getone()
        await consumer.commit({tp: 500})
        thread = Thread(consumer)
        targets = await thread._targets()
        await thread._go_to(targets.positions)
        again = await consumer.getone()
        # A process that dies now leaves no offset to which the new log may grow unread.
        assert await consumer.committed(tp) == 0
    assert targets == ({tp: 0}, {tp: 0}, {tp: 2}, {})
    assert again.offset == 0


async def test_handover_is_told_until_it_is_removed_and_only_with_its_offset(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp, consumer = await two_records(kafka, monkeypatch)
    async with consumer:
        await consumer.getone()
        thread = Thread(consumer)
        await thread._hand_over({TP(*tp): (1, 2), TP(tp.topic, 9): (1, 2)})
        first = await thread._targets()
        await thread._remove_hints({each: first.committed[each] for each in first.begun})
        second = await thread._targets()
    assert (first.positions, first.begun) == ({tp: 1}, {tp: 2})
    assert (second.positions, second.begun) == ({tp: 1}, {})


async def test_other_topics_are_left_where_they_are(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("k", 0), ("k", 1)])
    consumer = AIOKafkaConsumer(
        place.topic, bootstrap_servers=kafka, group_id=place.group, auto_offset_reset="earliest"
    )
    async with consumer:
        await consumer.getone()
        thread = Thread(consumer)
        await thread._go_to((await thread._targets()).positions)
        assert (await consumer.getone()).offset == 1


@pytest.mark.parametrize(
    ("begins", "offsets"),
    [
        (0, (1,)),
        (0, (0, 2)),
        (7, (8,)),
        (7, (7, 8, 10)),
        (7, (7, 8, 7, 10)),
        (19, (23,)),  # more is missing than the log has not
        (20, (24,)),
        (20, (23, 25)),
    ],
)
def test_record_behind_a_skipped_one_is_refused(begins: int, offsets: tuple[int, ...]) -> None:
    gaps = GapDetector()
    gaps.begin({("t", 0): begins})
    gaps.allow(("t", 0), 20, 23)
    *handled, skipped_to = offsets
    for offset in handled:
        gaps.follow(("t", 0), offset)
    with pytest.raises(RecordsSkippedError):
        gaps.follow(("t", 0), skipped_to)


def test_a_hole_that_the_log_has_is_passed_over() -> None:
    """`follow` raises where it finds a gap."""
    gaps = GapDetector()
    gaps.begin({("t", 0): 3})
    gaps.follow(("t", 0), 3)
    gaps.allow(("t", 0), 4, 9)
    for offset in (9, 10):
        gaps.follow(("t", 0), offset)
    gaps.begin({("t", 0): 3})  # sought back before the commit, and over it once more
    for offset in (3, 9, 10, 11):
        gaps.follow(("t", 0), offset)


def test_reading_on_and_reading_again_are_no_faults() -> None:
    """`follow` raises where it finds a gap."""
    gaps = GapDetector()
    gaps.begin({("t", 0): 3})
    for offset in (3, 4, 5, 3, 4, 5, 6):
        gaps.follow(("t", 0), offset)
    gaps.begin({("t", 0): 5, ("t", 1): 0})  # 7 is on its way to the agent already
    for offset in (7, 5, 6, 7, 8):
        gaps.follow(("t", 0), offset)
    gaps.begin({("t", 0): 40})  # another router had it meanwhile
    gaps.follow(("t", 0), 40)
    gaps.follow(("t", 1), 0)
