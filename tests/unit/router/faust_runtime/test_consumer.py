"""Tests that the router's consumer hands on no record between a seek and the resumption after it:
Faust clears its queues when it resumes, and commits past what was in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from tongban_kafka import Pace
from tongban_router.faust_runtime import consumer as consumer_module
from tongban_router.faust_runtime.consumer import RewindingConsumer, SeekTargets
from tongban_router.faust_runtime.offsets import (
    GapDetector,
    Handover,
    OffsetSequencer,
    RedeliveryWindow,
)

SOURCE, CHANGELOG = TP("requests.outcomes", 1), TP("changelog", 1)


class Thread:
    """Stands for the consumer's thread: both partitions are at offset 75."""

    def __init__(self) -> None:
        self.sought: list[dict[TP, int]] = []
        self.begun: dict[TP, int] = {}
        self.refusals = 0
        self.removed: list[dict[TP, int]] = []

    async def targets(self) -> SeekTargets:
        return SeekTargets({SOURCE: 75}, {SOURCE: 75}, {SOURCE: 77}, self.begun)

    async def remove_hints(self, committed: dict[TP, int]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise CommitFailedError("rebalanced")
        self.removed.append(committed)

    async def go_to(self, positions: dict[TP, int]) -> None:
        self.sought.append(dict(positions))


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a consumer that fetches the record at offset 75 of each partition each time."""

    async def fetch(_: Any, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ARG001
        for tp in (SOURCE, CHANGELOG):
            yield tp, SimpleNamespace(offset=75)

    monkeypatch.setattr(Consumer, "getmany", fetch)
    monkeypatch.setattr(Consumer, "resume_flow", lambda _: None)
    monkeypatch.setattr(Consumer, "flow_active", True, raising=False)
    made = RewindingConsumer.__new__(RewindingConsumer)
    made.__dict__.update(
        _sequencer=OffsetSequencer(),
        _resumed=False,
        _held=False,
        _pace=Pace(0.0),
        _thread=Thread(),
        _handover=Handover(RedeliveryWindow(), GapDetector()),
        _on_seek=lambda *_: None,
    )
    return made


async def _fetched(consumer: Any) -> list[TP]:
    return [tp async for tp, _ in consumer.getmany(1.0)]


async def test_record_fetched_between_seek_and_resumption_is_fetched_again(consumer: Any) -> None:
    await consumer.seek_to_committed()
    assert await _fetched(consumer) == [CHANGELOG]
    consumer.resume_flow()
    assert await _fetched(consumer) == [SOURCE, CHANGELOG]
    assert consumer._thread.sought == [{SOURCE: 75}, {SOURCE: 75}]


async def test_hint_is_taken_once_it_is_removed(consumer: Any) -> None:
    consumer._thread.begun, consumer._thread.refusals = {SOURCE: 76}, 2
    await consumer.seek_to_committed()
    assert consumer._thread.removed == [{SOURCE: 75}]
    assert consumer._handover.begun_to(SOURCE, 75) == 76


async def test_hint_that_cannot_be_removed_before_the_next_assignment_is_not_taken(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer._thread.begun = {SOURCE: 76}
    window = RedeliveryWindow()
    consumer._handover = Handover(window, GapDetector())

    async def refuse(_: Any) -> None:
        window.assign([SOURCE])
        raise CommitFailedError("rebalanced")

    monkeypatch.setattr(consumer._thread, "remove_hints", refuse)
    await consumer.seek_to_committed()
    assert consumer._handover.begun_to(SOURCE, 75) is None


async def test_router_ends_that_can_never_remove_a_hint(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndedError(Exception):
        """Stands for the end of the process."""

    def die(event: str, error: BaseException, topic: str) -> None:
        raise EndedError(event, type(error), topic)

    monkeypatch.setattr(consumer_module, "die", die)
    monkeypatch.setattr(consumer_module, "_TAKE_OVER_S", 0.0)
    consumer._thread.begun, consumer._thread.refusals = {SOURCE: 76}, 99
    with pytest.raises(EndedError, match="handover_not_taken"):
        await consumer.seek_to_committed()
    assert not consumer._thread.sought
