"""Faust's detector of streams that stand still ends no router while a partition is being sought."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from tongban_router.faust_runtime.consumer import RewindingConsumer

PARTITION = TP("requests.commands", 8)


async def consumer_that_seeks() -> Any:
    """A consumer whose one partition has no position, as after a seek below the log's beginning."""
    place = TopicPartition(*PARTITION)
    state = TopicPartitionState(Assignment({place}))
    consumer: Any = object.__new__(RewindingConsumer)
    consumer._thread = SimpleNamespace(verify_event_path=lambda *_: state.position)
    return consumer


async def test_detector_of_faust_fails_without_a_position() -> None:
    with pytest.raises(AssertionError):
        Consumer.verify_event_path(await consumer_that_seeks(), 0.0, PARTITION)


async def test_detector_does_not_fail_without_a_position() -> None:
    (await consumer_that_seeks()).verify_event_path(0.0, PARTITION)
