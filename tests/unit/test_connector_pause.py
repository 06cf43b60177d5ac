"""A paused province is not called, by no way that leads to a call."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.unit.test_lifecycle import submitted
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.envelope import KeyRing
from tongban_common.events import Body, Event, encode
from tongban_common.events.models import ProvinceCall, ProvinceOutcome
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import Record, Retry
from tongban_common.settings import CommonSettings
from tongban_router.connectors.connector import Connector
from tongban_router.connectors.gateway import Answer, GatewayState

KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())
CLOCK = BusinessClock.real()


class FakeGateway:
    """Counts calls, whatever is called; every call waits for `gate`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def _answer(self, name: str) -> Answer:
        self.calls.append(name)
        self.called.set()
        await self.gate.wait()
        return Answer(request_id="r-1", state=GatewayState.COMPLETED)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._answer(name)


class Said:
    """A publisher's producer that keeps what is said."""

    def __init__(self) -> None:
        self.outcomes: list[ProvinceOutcome] = []
        self.ids: list[str] = []

    async def send(self, _: str, *, value: bytes, headers: Any, **__: Any) -> None:
        self.outcomes.append(ProvinceOutcome.model_validate_json(value))
        self.ids.append(dict(headers)["ce_id"].decode())


class Pause:
    reason: str | None = "系统升级"

    def __call__(self, province: str) -> str | None:
        assert province == "340000"
        return self.reason


def connector(gateway: FakeGateway, said: Said, pause: Pause) -> Connector:
    return Connector(
        "340000",
        gateway,
        publisher=EventPublisher(said, "test"),
        keys=KEYS,
        clock=CLOCK,
        timeout_s=5,
        concurrency=1,
        rate_per_s=100,
        lease_remaining=lambda: 60.0,
        paused=pause,
    )


def record(kind: CallKind = CallKind.SUBMIT, *, call_id: str = "c-1", seen: bool = False) -> Record:
    body: Body = ProvinceCall(
        request_id="r-1",
        call=kind,
        call_id=call_id,
        item=submitted().item,
        not_after=CLOCK.now().replace(year=2100),
        sealed=KEYS.seal("r-1", {"applicant": {}, "form": {}}),
    )
    value, headers = encode(Event(call_id, "test", body, CLOCK.now()))
    place = ("province.340000.requests", 0, 0, 0)
    return Record(*place, b"r-1", value, tuple(headers), seen, time.monotonic())


async def test_it_waits_is_told_once_and_goes_on() -> None:
    gateway, said, pause = FakeGateway(), Said(), Pause()
    paused = connector(gateway, said, pause)
    for attempt in range(1, 4):
        for kind in (CallKind.SUBMIT, CallKind.POLL, CallKind.WITHDRAW):
            with pytest.raises(Retry) as waits:
                await paused.handle(record(kind, call_id=kind)._replace(attempt=attempt))
            assert waits.value.after is not None
            assert waits.value.after < 2
    assert gateway.calls == []
    assert [(o.outcome, o.cause, o.reason) for o in said.outcomes] == [
        (OutcomeKind.WAITING, "paused", "系统升级")
    ] * 3
    assert len(set(said.ids)) == 3
    pause.reason = None
    await paused.handle(record())
    assert gateway.calls == ["submit"]
    assert said.outcomes[-1].outcome is OutcomeKind.COMPLETED


@pytest.mark.parametrize("seen", [False, True])
async def test_what_waits_for_its_turn_is_not_sent_either(seen: bool) -> None:
    """A pause holds for those in the queue of a slow province; what is under way is finished."""
    gateway, said, pause = FakeGateway(), Said(), Pause()
    pause.reason = None
    gateway.gate.clear()
    slow = connector(gateway, said, pause)
    first = asyncio.create_task(slow.handle(record()))
    async with asyncio.timeout(5):
        await gateway.called.wait()
    second = asyncio.create_task(slow.handle(record(call_id="c-2", seen=seen)))
    await asyncio.sleep(0)
    pause.reason = "系统升级"
    gateway.gate.set()
    await first
    with pytest.raises(Retry, match="paused"):
        await second
    assert gateway.calls == ["submit"]
    assert [o.outcome for o in said.outcomes] == [OutcomeKind.COMPLETED, OutcomeKind.WAITING]
