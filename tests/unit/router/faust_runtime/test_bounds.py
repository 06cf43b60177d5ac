"""The router puts a record aside, instead of ending, if the broker would refuse its outputs. The
limit of dead letters survives restarts."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.router.domain.test_lifecycle import START, begun, outcome, submitted
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import OutcomeKind, Status
from tongban_common.events import Event, MalformedEventError, encode
from tongban_common.events.models import Sealed, TimerDue
from tongban_kafka import DeadLetterLimit, DeadLetterLimitError
from tongban_router.domain.state import RequestState
from tongban_router.faust_runtime import dead_letter_writer as module
from tongban_router.faust_runtime import handler as handler_module
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.handler import MOST_KEPT, RecordHandler
from tongban_router.settings import RouterSettings

TAKEN = 1_048_576
"""Most bytes of a record that Kafka accepts."""


@pytest.mark.parametrize(("size", "status"), [(900_000, "completed"), (1_000_000, "held")])
async def test_an_outcome_that_fits_into_no_record_of_ours_holds_its_request(
    tmp_path: Path, size: int, status: str
) -> None:
    sent: list[str] = []

    async def emit(topic: str, _key: Any, value: bytes, _headers: Any) -> None:
        assert len(value) < TAKEN
        sent.append(topic)

    handler = handler_with(emit, tmp_path)
    state, call_id = begun()
    handler.requests.table = {b"r-1": state.model_dump_json(exclude_defaults=True).encode()}
    result = Sealed(kid="k", key="x", parts={"result": "r" * size})
    body = outcome(OutcomeKind.COMPLETED, call_id, sealed=result)
    value, headers = encode(Event("o-1", "test", body, START))
    assert len(value) < TAKEN
    message = SimpleNamespace(
        topic="requests.outcomes", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=value, headers=headers,
    )  # fmt: skip
    await handler.handle(SimpleNamespace(message=message))
    kept = handler.requests.table[b"r-1"]
    assert len(kept) <= MOST_KEPT
    assert RequestState.model_validate_json(kept).status is Status(status)
    assert ("tongban-router.dlt" in sent) == (status == "held")


def handler_with(emit: Any, directory: Path) -> RecordHandler:
    """Return a router's handler that may handle records and sends them to `emit`."""
    handler = Router(RouterSettings(data=directory)).handler
    handler._emit = handler._dead_letters._emit = emit
    handler._dead_letters._known.set()
    handler._fence._lease.renew(time.monotonic())
    handler._fence.begin()
    return handler


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordHandler:
    """Return a handler whose records are dropped, and which raises where the process would end."""

    def die(event: str, error: BaseException, _topic: str) -> None:
        raise AssertionError(event) from error

    monkeypatch.setattr(handler_module, "die", die)
    handler = handler_with(nothing, tmp_path)
    handler.requests.table = {}
    return handler


async def test_a_submission_that_fits_into_no_record_of_ours_does_not_end_the_router(
    handler: RecordHandler,
) -> None:
    """Intake writes no such submission, but any other producer on the topic may."""
    sealed = Sealed(kid="k", key="x", parts={"form": "r" * 1_000_000})
    body = submitted().model_copy(update={"sealed": sealed})
    value, headers = encode(Event("e-1", "test", body, START))
    message = SimpleNamespace(
        topic="requests.submitted", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=value, headers=headers,
    )  # fmt: skip
    await handler.handle(SimpleNamespace(message=message))
    assert handler.requests.table == {}
    assert handler._progress._handled == {("requests.submitted", 0): 0}


async def test_a_request_that_fills_its_record_is_held_and_ends_all_the_same(
    handler: RecordHandler,
) -> None:
    """The entry about the hold did not fit, which ended the router at each start."""
    state, _ = begun()
    empty = len(kept_of(padded(state, 0)))
    state = padded(state, MOST_KEPT - empty)
    assert len(kept_of(state)) == MOST_KEPT
    handler.requests.table = {b"r-1": kept_of(state)}
    message = SimpleNamespace(
        topic="requests.outcomes", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=b"garbage", headers=[],
    )  # fmt: skip
    await handler.handle(SimpleNamespace(message=message))
    held = RequestState.model_validate_json(handler.requests.table[b"r-1"])
    assert held.status is Status.HELD
    late = max(held.request.deadline, held.history[-1].at)
    for offset, at in enumerate((late, late + timedelta(days=60))):
        handler._clock = BusinessClock(at, time.time())
        due = Event("t-1", "test", TimerDue(request_id="r-1", due=at), at)
        value, headers = encode(due)
        message = SimpleNamespace(
            topic="router.timers", partition=0, offset=offset, timestamp_type=0, timestamp=None,
            key=b"r-1", value=value, headers=headers,
        )  # fmt: skip
        await handler.handle(SimpleNamespace(message=message))
    held = RequestState.model_validate_json(handler.requests.table[b"r-1"])
    assert held.status is Status.FAILED
    assert len(handler.requests.table[b"r-1"]) < TAKEN - 1_000


async def nothing(*_: Any) -> None: ...


def padded(state: RequestState, size: int) -> RequestState:
    """Return the state with an envelope that is larger by `size` bytes."""
    sealed = state.request.sealed
    parts = {**sealed.parts, "padding": "x" * size}
    request = state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
    return state.model_copy(update={"submitted": request})


def kept_of(state: RequestState) -> bytes:
    return state.model_dump_json(exclude_defaults=True).encode()


async def test_dead_letter_waits_until_those_of_earlier_processes_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A router that ended in a flood of poison is restarted and reads the flood at once."""
    counted = asyncio.Event()
    sent: list[Any] = []

    class Topic:
        def __init__(self, _kafka: str) -> None: ...

        async def __aenter__(self) -> Topic:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def count_since(self, _topic: str, _since_ms: int) -> int:
            await counted.wait()
            return DeadLetterLimit().max_count

    async def emit(*record: Any) -> None:
        sent.append(record)

    monkeypatch.setattr(module, "Snapshot", Topic)
    dead_letters = module.DeadLetterWriter("kafka", emit)
    message = SimpleNamespace(
        topic="t", partition=0, offset=0, timestamp=None, key=b"k", value=b"v", headers=[]
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(dead_letters.remember())
        putting = tasks.create_task(
            _flooded(dead_letters.put(message, MalformedEventError("no event")))
        )
        for _ in range(5):
            await asyncio.sleep(0)
        assert not putting.done()
        counted.set()
    assert sent == []


async def _flooded(putting: Any) -> None:
    with pytest.raises(DeadLetterLimitError):
        await putting


async def test_a_poison_record_as_large_as_a_broker_takes_is_put_aside_without_its_value() -> None:
    put: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []

    async def emit(_topic: str, key: Any, value: Any, headers: Any) -> None:
        put.append((key, value, dict(headers)))

    dead_letters = module.DeadLetterWriter("kafka", emit)
    dead_letters._known.set()
    for size in (1_000, 1_048_000):
        message = SimpleNamespace(
            topic="requests.outcomes", partition=0, offset=0, timestamp=None,
            key=b"r-1", value=b"x" * size, headers=[],
        )  # fmt: skip
        await dead_letters.put(message, MalformedEventError("no event"))
    (_, whole, _), (key, value, headers) = put
    assert whole == b"x" * 1_000
    assert (key, value, headers["dlt_value_bytes"]) == (b"r-1", b"", b"1048000")
    assert sum(len(name) + len(text) for name, text in headers.items()) < TAKEN
