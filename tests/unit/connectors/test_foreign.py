"""Records that no router wrote, moments beyond all bounds, and what the process itself lacks."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from tests.unit.connectors.kit import Bench, Keeper, Scripted, answer
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import CallKind
from tongban_common.store import StoreUnavailableError
from tongban_connectors import handler as module
from tongban_connectors.domain.gateway import GatewayRefusedError, RetryLaterError, Unknown
from tongban_connectors.gate import Block, Gate
from tongban_kafka import Cause, Record
from tongban_provinces.models import OfferedDocument

PDF = OfferedDocument(name="certificate", title="证明", sha256="0" * 64, size=10)
GIVEN_UP = Cause(
    reason="x", exception="", where="", attempts=1, first_failed_at=0, last_failed_at=0
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pause_s", lambda _: 0.01)


def changed(record: Record, **changes: Any) -> Record:
    """The record with other values in its body."""
    assert record.value is not None
    return record._replace(value=orjson.dumps({**orjson.loads(record.value), **changes}))


# --- foreign records


FOREIGN: list[Any] = [
    lambda record: record._replace(value=None),
    lambda record: record._replace(value=b""),
    lambda record: record._replace(value=b"\xff\xfe"),
    lambda record: record._replace(value=b"[" * 100_000),
    lambda record: record._replace(value=b"{}"),
    lambda record: record._replace(headers=()),
    lambda record: record._replace(headers=(("ce_id", None), ("ce_type", None))),
    lambda record: record._replace(headers=tuple((name, None) for name, _ in record.headers)),
    lambda record: record._replace(
        headers=tuple((n, b"99999-12-31" if n == "ce_time" else v) for n, v in record.headers)
    ),
    lambda record: record._replace(
        headers=tuple((n, b"\xff" if n == "ce_type" else v) for n, v in record.headers)
    ),
    *(
        lambda record, bad=bad: changed(record, request_id=bad)
        for bad in (
            "", "../../x", "r-1/withdrawal", "r 1", "r-1?x=1", "r%2f", "张三", "r" * 200, ".."
        )
    ),
    lambda record: changed(record, call_id="a/../b"),
    lambda record: changed(record, not_after="99999-12-31T00:00:00+08:00"),
    lambda record: changed(record, not_after="not a moment"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FOREIGN)))
async def test_foreign_record_is_put_aside_and_calls_nobody(number: int) -> None:
    bench = Bench(Scripted())
    record = FOREIGN[number](bench.record())
    cause = await bench.work(record)
    assert cause != "done"
    assert "张三" not in cause
    await bench.connector.on_dead_letter(record, GIVEN_UP)
    assert bench.gateway.calls == []
    assert bench.published.outcomes == []
    assert bench.books == 0


async def test_null_value_of_a_header_beside_ours_harms_nothing() -> None:
    bench = Bench(Scripted())
    record = bench.record()
    record = record._replace(headers=(*record.headers, ("their-own", None)))  # type: ignore[arg-type]
    assert await bench.work(record) == "done"


# --- moments


EDGE = [
    datetime.max.replace(tzinfo=timezone(timedelta(hours=offset))) for offset in (-14, 0, 8, 14)
]


@pytest.mark.parametrize("moment", EDGE)
async def test_not_after_at_the_end_of_time_is_only_far_away(moment: datetime) -> None:
    bench = Bench(Scripted())
    record = changed(bench.record(), not_after=moment.isoformat())
    assert await bench.work(record) == "done"
    assert bench.gateway.calls == ["submit"]


@pytest.mark.parametrize("moment", EDGE)
async def test_pause_until_the_end_of_time_is_waited_for(moment: datetime) -> None:
    gate = Gate("110000", clock=BusinessClock.real(), sources=[lambda: Block("paused", moment)])
    place = gate.join_queue(effect=True)
    assert 0 < gate._look_again_s() <= 30
    place.cancel()


@pytest.mark.parametrize("seconds", [1e308, float("inf"), -1.0, float("nan"), 0.0], ids=str)
@pytest.mark.parametrize("cause", ["closed", "throttled", "anything"])
@pytest.mark.parametrize("speed", [1.0, 360_000.0, 1e9])
async def test_wait_that_a_gateway_asks_for_is_bounded(
    seconds: float, cause: str, speed: float
) -> None:
    clock = BusinessClock(datetime(2026, 3, 2, tzinfo=CHINA), 0.0, 1.0)
    gate = Gate("110000", clock=BusinessClock(clock.now(), clock.anchor, speed))
    gate._clock = _Fast(speed)  # type: ignore[assignment]
    for effect in (True, False):
        permit = gate.enter(effect=effect) if gate.block(effect=effect) is None else None
        if permit is not None:
            permit.wait_requested(cause, seconds)
        block = gate.block(effect=True)
        assert block is None or block.until is None or block.until.year <= 9999
        assert gate._look_again_s() >= 0


class _Fast:
    """A business clock that stands still and is said to be fast."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> datetime:
        return datetime(2026, 3, 2, tzinfo=CHINA)

    def real_seconds(self, span: timedelta) -> float:
        return span.total_seconds() / self.speed


@pytest.mark.parametrize(
    ("said_at", "delayed"),
    [(0.0, True), (float("-inf"), True), (1e18, False), (float("nan"), False)],
)
async def test_clock_of_a_gateway_beyond_all_bounds_delays_for_a_bounded_time(
    said_at: float, delayed: bool
) -> None:
    bench = Bench(Scripted(look_up=[Unknown(said_at), answer]))
    record = bench.record(repeat=True)
    if delayed:
        with pytest.raises(module.Retry) as waits:
            await bench.connector.handle(record)
        assert waits.value.after is not None
        assert 0 < waits.value.after <= 30
    assert await bench.work(record) == "done"


# --- what the process lacks


LACKING = [
    OSError(24, "Too many open files"),
    OSError(28, "No space left on device"),
    MemoryError(),
    RuntimeError("can't start new thread"),
    ExceptionGroup("tasks", [OSError(24, "x")]),
    StoreUnavailableError("OutOfDiskSpace"),
]


@pytest.mark.parametrize("error", LACKING, ids=repr)
async def test_outcome_that_the_process_cannot_store_waits_and_is_looked_up_again(
    error: Exception,
) -> None:
    """Many more times than a record is tried where its own fault is supposed."""
    finished = [lambda request_id: answer(request_id, documents=[PDF])]
    bench = Bench(
        Scripted(submit=list(finished), look_up=list(finished), fetch=[b"%PDF"]),
        keeper=Keeper(*itertools.repeat(error, 8)),
    )
    assert await bench.work(bench.record(), patience=60) == "done"
    assert bench.gateway.calls.count("submit") == 1
    assert bench.told[-1] == ("completed", None)
    assert {kind for kind, _ in bench.told} == {"waiting", "completed"}


# --- what a protocol cannot carry


@pytest.mark.parametrize("kind", [CallKind.SUBMIT, CallKind.SUPPLEMENT])
async def test_form_that_the_protocol_cannot_carry_is_held_with_a_reason(kind: CallKind) -> None:
    bench = Bench(
        Scripted(**{str(kind): [GatewayRefusedError("not_expressible")]}, look_up=[Unknown()])
    )
    cause = await bench.work(bench.record(kind))
    assert "not_expressible" in cause
    assert "cannot carry" in cause
    assert bench.gateway.calls.count(str(kind)) == 1


async def test_wait_of_a_later_is_not_believed_for_longer_than_its_cause_allows() -> None:
    bench = Bench(Scripted(submit=[RetryLaterError("throttled", 1e308), answer]))
    record = bench.record()
    with pytest.raises(module.Retry) as waits:
        await bench.connector.handle(record)
    assert waits.value.when is not None
    waits.value.when.cancel()
    assert bench.gate.breaker.remaining_s() <= 600
