"""At most one effect: frozen processes, gateways whose clock is off, restarts, operators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.connectors.kit import Bench, Scripted, answer
from tests.unit.wire_kit import search
from tongban_connectors.domain import call_ledger
from tongban_connectors.domain.breaker import Breaker
from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    GatewayDownError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.handler import Connector
from tongban_kafka import Cause, Poison, Record, Retry
from tongban_provinces.models import GatewayAnswer, GatewayState

GIVEN_UP = Cause(
    reason="x", exception="", where="", attempts=1, first_failed_at=0, last_failed_at=0
)


class Clocks:
    """Stands where a module has `time`: both clocks go on only when a test says so."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def monotonic(self) -> float:
        return self.at

    def time(self) -> float:
        return 1_800_000_000.0 + self.at


@pytest.fixture(name="clocks")
def _clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(call_ledger, "time", clocks)
    monkeypatch.setattr(call_ledger, "uptime", clocks.monotonic)
    return clocks


def bench_at(
    clocks: Clocks, gateway: Any, *, timeout_s: float = 10.0, prompt_s: float = 0.0
) -> Bench:
    breaker = Breaker(threshold=10_000)
    bench = Bench(gateway, timeout_s=timeout_s, prompt_s=prompt_s, breaker=breaker)
    bench.assigned_at = clocks.monotonic()
    return bench


def stamped(clocks: Clocks, record: Record, *, age_s: float = 0.0) -> Record:
    return record._replace(timestamp_ms=round((clocks.time() - age_s) * 1000))


# --- one thing at a time


@pytest.mark.parametrize("where", ["at the lease", "at not_after"])
async def test_frozen_behind_a_check_sends_with_an_act_before_that_has_passed(
    clocks: Clocks, where: str
) -> None:
    """Whoever took over meanwhile waits from its assignment on, and no longer."""
    gateway = Scripted()
    bench = bench_at(clocks, gateway)
    clocks.at += 100
    began = clocks.time()

    def then_frozen(check: Callable[[], Any]) -> Callable[..., Any]:
        def checked(*_: object) -> Any:
            found = check()
            clocks.at += 60
            return found

        return checked

    record = stamped(clocks, bench.record())
    if where == "at the lease":
        bench.connector._executor._lease_remaining = then_frozen(lambda: 10.0)
    else:
        passes = iter([False, False])
        bench.connector._executor._too_late = then_frozen(lambda: next(passes))  # type: ignore[method-assign]
        began += 60  # the first look comes before the call has its turn
    assert await bench.work(record) == "done"
    assert gateway.act_before <= began + 10.0 + call_ledger.MARGIN_S


async def test_member_that_was_replaced_meanwhile_sends_nothing() -> None:
    """It has not heard of it yet: it asks before each call that has an effect."""
    gateway = Scripted()
    bench = Bench(gateway)
    bench.replaced = True
    with pytest.raises(Retry):
        await bench.connector.handle(bench.record())
    assert "submit" not in gateway.calls
    bench.replaced, bench.lease = False, 10.0
    assert await bench.work(bench.record()) == "done"
    assert gateway.calls.count("submit") == 1


async def test_unknown_answered_before_a_freeze_is_not_believed_after_it(
    clocks: Clocks,
) -> None:
    """A protocol that does not tell the gateway's time: our own waiting alone decides."""

    def frozen(_: str) -> Unknown:
        clocks.at += 60
        return Unknown()

    gateway = Scripted(submit=[UnclearAnswerError("cut")], look_up=[frozen])
    bench = bench_at(clocks, gateway)
    clocks.at += 100
    record = stamped(clocks, bench.record())
    with pytest.raises(Retry):
        await bench.connector.handle(record)
    with pytest.raises(Retry, match="an earlier send"):
        await bench.connector.handle(record)
    assert gateway.calls == ["submit", "look_up"]


@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "the doubt was swept"])
async def test_repeat_of_a_given_up_call_waits_for_the_clock_of_the_gateway(
    clocks: Clocks, restarted: bool
) -> None:
    behind_s = 290.0
    gateway = Scripted(
        submit=[UnclearAnswerError("cut"), answer],
        look_up=[lambda _: Unknown(clocks.time() - behind_s)],
    )
    bench = bench_at(clocks, gateway)
    clocks.at += 1000
    record = stamped(clocks, bench.record())
    with pytest.raises(Retry):
        await bench.connector.handle(record)
    act_before = gateway.act_before
    clocks.at += 60
    await bench.connector.on_dead_letter(record, GIVEN_UP)
    await bench.connector.on_dead_letter(bench.record(request_id="r-2"), GIVEN_UP)  # this sweeps
    if restarted:
        bench = bench_at(clocks, gateway)
    clocks.at += 30
    again = stamped(clocks, bench.record(repeat=True))
    while gateway.calls.count("submit") < 2:
        try:
            await bench.connector.handle(again)
        except Retry as retry:
            assert retry.after
            clocks.at += retry.after
    assert clocks.time() - behind_s >= act_before, "the gateway would not act any more"


async def test_repeat_within_the_time_out_of_a_dead_process_is_not_sent_at_once(
    clocks: Clocks,
) -> None:
    gateway = Scripted(look_up=[lambda _: Unknown(clocks.time())])
    bench = bench_at(clocks, gateway)
    clocks.at += 1
    with pytest.raises(Retry, match="an earlier send"):
        await bench.connector.handle(stamped(clocks, bench.record(repeat=True)))
    assert gateway.calls == ["look_up"]


@pytest.mark.parametrize(
    ("age_s", "calls"),
    [(90.0, ["look_up"]), (101.0, ["look_up"]), (0.0, ["submit"]), (80.0, ["submit"])],
    ids=["just after", "before the assignment", "new", "lag of a long-lived process"],
)
async def test_unmarked_call_created_before_the_assignment_is_asked_about(
    clocks: Clocks, age_s: float, calls: list[str]
) -> None:
    """A router was frozen between its check and its write; what it sent has been done since."""
    gateway = Scripted()
    bench = bench_at(clocks, gateway)
    clocks.at += 91.0
    assert await bench.work(stamped(clocks, bench.record(), age_s=age_s)) == "done"
    assert gateway.calls == calls


async def test_unmarked_call_older_than_the_ledger_is_looked_up_first(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_ledger, "_ENDED", 1)
    gateway = Scripted()
    bench = bench_at(clocks, gateway)
    clocks.at += 100
    for number in range(3):
        assert await bench.work(stamped(clocks, bench.record(request_id=f"r-{number}"))) == "done"
        clocks.at += 10
    assert await bench.work(stamped(clocks, bench.record(request_id="r-0"), age_s=25)) == "done"
    assert gateway.calls == ["submit"] * 3 + ["look_up"]
    assert await bench.work(stamped(clocks, bench.record(request_id="r-9"))) == "done"
    assert gateway.calls[-1] == "submit"


async def test_record_without_a_timestamp_is_asked_about(clocks: Clocks) -> None:
    gateway = Scripted()
    bench = bench_at(clocks, gateway)
    clocks.at += 100
    assert await bench.work(bench.record()._replace(timestamp_ms=-1)) == "done"
    assert gateway.calls == ["look_up"]


# --- whatever comes together


class Province:
    """Counts what took effect. It ignores ids, and acts when it gets round to it: but never after
    `act_before` by its own clock."""

    def __init__(self, clocks: Clocks, skew_s: float) -> None:
        self._clocks = clocks
        self._skew_s = skew_s
        self._due: list[tuple[float, float]] = []
        """When it will act (monotonic), and `act_before`."""
        self.effects = 0
        self.manner: tuple[str, float] = ("answer", 0.0)
        self.says = "truth"

    def clock(self) -> float:
        return self._clocks.time() + self._skew_s

    def catch_up(self) -> None:
        """Have taken effect what was due by now."""
        for due in list(self._due):
            at, act_before = due
            if at <= self._clocks.at:
                self._due.remove(due)
                moment = self.clock() - (self._clocks.at - at)
                self.effects += moment <= act_before

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        self.catch_up()
        manner, after_s = self.manner
        if self.clock() > act_before:
            raise AccessDeniedError("too_late")
        if manner == "down":
            raise GatewayDownError("x")
        if manner == "lost":
            raise UnclearAnswerError("x")
        self._due.append((self._clocks.at + after_s, act_before))
        self.catch_up()
        if manner == "answer" and self.effects:
            return answer(application["request_id"], GatewayState.COMPLETED)
        if manner == "fault":
            raise RuntimeError("what nobody expects")
        raise (BrokenAnswerError if manner == "broken" else UnclearAnswerError)("x")

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown:
        self.catch_up()
        if self.says != "truth":
            raise (BrokenAnswerError if self.says == "broken" else UnclearAnswerError)("x")
        if self.effects:
            return answer(request_id, GatewayState.COMPLETED, said_at=self.clock())
        return Unknown(self.clock())


STEPS = st.one_of(
    st.tuples(st.just("handle"), st.sampled_from(["truth", "truth", "broken", "unclear"])),
    st.tuples(
        st.just("manner"),
        st.tuples(
            st.sampled_from(["answer", "unclear", "broken", "fault", "down", "lost"]),
            st.floats(0, 400, allow_nan=False),
        ),
    ),
    st.tuples(st.just("wait"), st.floats(0, 400, allow_nan=False) | st.floats(0, 15)),
    st.tuples(st.just("prompt"), st.none()),
    st.tuples(st.just("slow"), st.none()),
    st.tuples(st.just("commit"), st.booleans()),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("hand over"), st.booleans()),
    st.tuples(st.just("give up"), st.none()),
    st.tuples(st.just("resume"), st.none()),
    st.tuples(st.just("frozen router"), st.floats(0, 400, allow_nan=False)),
)


@search(200)
@given(skew_s=st.floats(-299, 299, allow_nan=False), steps=st.lists(STEPS, max_size=30))
def test_province_that_ignores_ids_acts_once_whatever_comes_together(
    skew_s: float, steps: list[tuple[str, Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clocks = Clocks()
        patch.setattr(call_ledger, "time", clocks)
        patch.setattr(call_ledger, "uptime", clocks.monotonic)
        asyncio.run(_play(clocks, Province(clocks, skew_s), steps))


class Play:
    """One request on its way through connectors that are replaced, and what the broker keeps."""

    def __init__(self, clocks: Clocks, province: Province) -> None:
        self.clocks, self.province = clocks, province
        self.bench = bench_at(clocks, province, prompt_s=3.0)
        self.note = ""
        """The note with the committed offset."""
        clocks.at += 1000
        self.first_created = clocks.at
        self.record: Record | None = stamped(clocks, self.bench.record())

    async def step(self, step: str, what: Any) -> None:
        match step:
            case "manner":
                self.province.manner = what
            case "wait":
                self.clocks.at += what
            case "restart":
                self.restart(float(what))
            case "hand over":
                self.note = self._note(handing_over=True)
                self.restart(float(what))
            case "prompt" | "slow" | "commit":
                self.watch_gateway(step, what)
            case _:
                await self.handle(step, what)
        self.province.catch_up()
        assert self.province.effects <= 1

    def _note(self, *, handing_over: bool) -> str:
        bench = self.bench
        return bench.bound.note(bench.assigned_at, bench.note, handing_over)

    def restart(self, after_s: float) -> None:
        self.clocks.at += after_s
        self.bench = bench_at(self.clocks, self.province, prompt_s=3.0)
        # The worker removes what it has read before it handles anything.
        self.bench.note, self.note = self.note, ""
        if self.record is not None:
            self.record = self.record._replace(maybe_seen=True, assigned_at=self.clocks.at)

    def watch_gateway(self, step: str, what: Any) -> None:
        """Calls of other requests, and a commit of other records."""
        match step:
            case "prompt":
                for _ in range(20):
                    self.bench.bound.answered(0.01)
            case "slow":
                self.bench.bound.was_slow()
            case "commit":
                self.note = self._note(handing_over=False)
                self.bench.note_refusals = 0 if what else 1

    async def handle(self, step: str, what: Any) -> None:
        match step, self.record:
            case "handle", Record() as record:
                self.province.says = what
                notes = self.bench.notes_committed
                if await _handle(self.bench.connector, record, self.clocks):
                    self.record = None
                if self.bench.notes_committed > notes:
                    self.note = ""
            case "give up", Record() as record:
                await self.bench.connector.on_dead_letter(record, GIVEN_UP)
                self.record = None
            case "resume", None:
                self.record = stamped(self.clocks, self.bench.record(repeat=True))
            case "frozen router", None:
                # It decided before or while the first one was handled.
                age_s = self.clocks.at - self.first_created + what
                self.record = stamped(self.clocks, self.bench.record(), age_s=age_s)


async def _play(clocks: Clocks, province: Province, steps: list[tuple[str, Any]]) -> None:
    play = Play(clocks, province)
    for step, what in steps:
        await play.step(step, what)
    clocks.at += 10_000
    province.catch_up()
    assert province.effects <= 1


async def _handle(connector: Connector, record: Record, clocks: Clocks) -> bool:
    """One attempt; True where the record is done or given up."""
    try:
        await connector.handle(record)
    except Retry as retry:
        if retry.when is not None:
            retry.when.cancel()
        clocks.at += min(retry.after or 0.0, 15.0)
    except Poison:
        await connector.on_dead_letter(record, GIVEN_UP)
        return True
    except RuntimeError:
        clocks.at += 1
    else:
        return True
    return False
