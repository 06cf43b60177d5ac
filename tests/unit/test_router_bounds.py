"""What the broker would not take must not end the router: it is put aside as poison is. And how
much may be put aside is not begun anew with each life."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.test_lifecycle import START, begun, outcome, submitted
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import OutcomeKind, Status
from tongban_common.events import Event, MalformedEventError, encode
from tongban_common.events.models import Sealed, TimerDue
from tongban_kafka.config import DeadLetterLimit
from tongban_kafka.errors import DeadLetterLimitError
from tongban_router.domain.state import RequestState
from tongban_router.faust_runtime import app as app_module
from tongban_router.faust_runtime import dead_letter_writer as module
from tongban_router.faust_runtime.app import MOST_KEPT, Router
from tongban_router.settings import RouterSettings

TAKEN = 1_048_576
"""Bytes of a record that Kafka takes."""


@pytest.mark.parametrize(("size", "status"), [(900_000, "completed"), (1_000_000, "held")])
async def test_an_outcome_that_fits_into_no_record_of_ours_holds_its_request(
    tmp_path: Path, size: int, status: str
) -> None:
    sent: list[str] = []

    async def emit(topic: str, _key: Any, value: bytes, _headers: Any) -> None:
        assert len(value) < TAKEN
        sent.append(topic)

    router = Router(RouterSettings(data=tmp_path))
    router._emit = router._aside._emit = emit  # type: ignore[method-assign]
    router._aside._known.set()
    router._tenure._lease.renew(time.monotonic())
    router._tenure.begin()
    state, call_id = begun()
    router.table = {b"r-1": state.model_dump_json(exclude_defaults=True).encode()}
    result = Sealed(kid="k", key="x", parts={"result": "r" * size})
    body = outcome(OutcomeKind.COMPLETED, call_id, sealed=result)
    value, headers = encode(Event("o-1", "test", body, START))
    assert len(value) < TAKEN
    message = SimpleNamespace(
        topic="requests.outcomes", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=value, headers=headers,
    )  # fmt: skip
    await router._handle(SimpleNamespace(message=message))
    kept = router.table[b"r-1"]
    assert len(kept) <= MOST_KEPT
    assert RequestState.model_validate_json(kept).status is Status(status)
    assert ("tongban-router.dlt" in sent) == (status == "held")


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Router:
    """Sends into nowhere, and raises where the process would end."""

    def die(event: str, error: BaseException, _topic: str) -> None:
        raise AssertionError(event) from error

    monkeypatch.setattr(app_module, "die", die)
    router = Router(RouterSettings(data=tmp_path))
    router._emit = router._aside._emit = nothing  # type: ignore[method-assign]
    router._aside._known.set()
    router._tenure._lease.renew(time.monotonic())
    router._tenure.begin()
    router.table = {}
    return router


async def test_a_submission_that_fits_into_no_record_of_ours_does_not_end_the_router(
    router: Router,
) -> None:
    """Intake writes none, whoever reaches the topic may."""
    sealed = Sealed(kid="k", key="x", parts={"form": "r" * 1_000_000})
    body = submitted().model_copy(update={"sealed": sealed})
    value, headers = encode(Event("e-1", "test", body, START))
    message = SimpleNamespace(
        topic="requests.submitted", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=value, headers=headers,
    )  # fmt: skip
    await router._handle(SimpleNamespace(message=message))
    assert router.table == {}
    assert router.progress._handled == {("requests.submitted", 0): 0}


async def test_a_request_that_fills_its_record_is_held_and_ends_all_the_same(
    router: Router,
) -> None:
    """The line that says so no longer fits, which ended the router at each start."""
    state, _ = begun()
    empty = len(kept_of(padded(state, 0)))
    state = padded(state, MOST_KEPT - empty)
    assert len(kept_of(state)) == MOST_KEPT
    router.table = {b"r-1": kept_of(state)}
    message = SimpleNamespace(
        topic="requests.outcomes", partition=0, offset=0, timestamp=None,
        key=b"r-1", value=b"garbage", headers=[],
    )  # fmt: skip
    await router._handle(SimpleNamespace(message=message))
    held = RequestState.model_validate_json(router.table[b"r-1"])
    assert held.status is Status.HELD
    late = max(held.request.deadline, held.history[-1].at)
    for offset, at in enumerate((late, late + timedelta(days=60))):
        router._clock = BusinessClock(at, time.time())
        due = Event("t-1", "test", TimerDue(request_id="r-1", due=at), at)
        value, headers = encode(due)
        message = SimpleNamespace(
            topic="router.timers", partition=0, offset=offset, timestamp_type=0, timestamp=None,
            key=b"r-1", value=value, headers=headers,
        )  # fmt: skip
        await router._handle(SimpleNamespace(message=message))
    held = RequestState.model_validate_json(router.table[b"r-1"])
    assert held.status is Status.FAILED
    assert len(router.table[b"r-1"]) < TAKEN - 1_000


async def nothing(*_: Any) -> None: ...


def padded(state: RequestState, size: int) -> RequestState:
    """The state with an envelope that is so much larger."""
    sealed = state.request.sealed
    parts = {**sealed.parts, "padding": "x" * size}
    request = state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
    return state.model_copy(update={"submitted": request})


def kept_of(state: RequestState) -> bytes:
    return state.model_dump_json(exclude_defaults=True).encode()


async def test_nothing_is_put_aside_before_earlier_lives_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A router that a flood has ended starts again, and is before the flood at once."""
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
    aside = module.DeadLetterWriter("kafka", emit)
    message = SimpleNamespace(
        topic="t", partition=0, offset=0, timestamp=None, key=b"k", value=b"v", headers=[]
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(aside.remember())
        putting = tasks.create_task(_flooded(aside.put(message, MalformedEventError("no event"))))
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

    aside = module.DeadLetterWriter("kafka", emit)
    aside._known.set()
    for size in (1_000, 1_048_000):
        message = SimpleNamespace(
            topic="requests.outcomes", partition=0, offset=0, timestamp=None,
            key=b"r-1", value=b"x" * size, headers=[],
        )  # fmt: skip
        await aside.put(message, MalformedEventError("no event"))
    (_, whole, _), (key, value, headers) = put
    assert whole == b"x" * 1_000
    assert (key, value, headers["dlt_value_bytes"]) == (b"r-1", b"", b"1048000")
    assert sum(len(name) + len(text) for name, text in headers.items()) < TAKEN
