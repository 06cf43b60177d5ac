"""One message, any number of processes, any order of events: no provider delivers it twice, and no
two providers deliver it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire_kit import Parcel, Turn, Wire, advance, search
from tongban_common.clock import BusinessClock
from tongban_common.store import StoreUnavailableError
from tongban_kafka import Retry
from tongban_notify import delivery
from tongban_notify.delivery import Delivery, StrandedMessageError
from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.guards import Guard, GuardOvertakenError, Guards, GuardState
from tongban_notify.sms.provider import NotSentError, Provider, UnclearSendError

SETTLE = 10.0
EPOCH = datetime(2026, 3, 2, tzinfo=UTC)
MESSAGE = TextMessage("m", "r", MessageTemplate.COMPLETED, "13800138000", "您好")


@dataclass
class Host:
    """A machine, and what its clocks say."""

    skew: float = 0
    """Seconds by which its wall clock is wrong."""
    booted_at: float = 0
    suspended: float = 0
    """Seconds that it has been suspended since."""


@dataclass
class World:
    """The providers, the store, the time and the wire to them."""

    guard: Guard | None = None
    delivered: Counter[str] = field(default_factory=Counter)
    refusing: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    wire: Wire = field(default_factory=Wire)
    host: Host = field(default_factory=Host)

    @property
    def wall(self) -> datetime:
        """Read the wall clock of the host whose process is running."""
        return EPOCH + timedelta(seconds=self.wire.now + self.host.skew)

    @property
    def monotonic(self) -> float:
        """CLOCK_MONOTONIC of that host: it stands still while the machine is suspended."""
        return self.through_suspend - self.host.suspended

    @property
    def through_suspend(self) -> float:
        """CLOCK_BOOTTIME of that host."""
        return self.wire.now - self.host.booted_at

    def take(self, provider: str, *, honours: bool) -> None:
        if provider in self.refusing:
            raise NotSentError("content", final=True)
        if provider in self.busy:
            raise NotSentError("throttled", final=False)
        if not (honours and self.delivered[provider]):
            self.delivered[provider] += 1

    def claim(self, provider: str | None) -> tuple[Guard, bool]:
        """The guard, and whether this call made it."""
        if self.guard is not None:
            return self.guard, False
        self.guard = Guard(reference="m", state=GuardState.CLAIMED)
        if provider is not None:
            fields = {"state": GuardState.SENDING, "provider": provider}
            self.guard = self.guard.model_copy(update=fields)
        return self.guard, True

    def write(self, guard: Guard, **fields: Any) -> Guard:
        assert self.guard is not None
        if guard.rev != self.guard.rev:
            raise GuardOvertakenError(guard.reference)
        self.guard = self.guard.model_copy(update={**fields, "rev": guard.rev + 1})
        return self.guard

    def check(self) -> None:
        assert sum(self.delivered.values()) <= 1, self.delivered


class ModelGuards:
    """Has the methods of Guards."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def _ask(self, effect: Any) -> Guard:
        return cast(Guard, await self._world.wire.send(effect, StoreUnavailableError("down")))

    async def claim(self, _: TextMessage, provider: str | None) -> tuple[Guard, float | None]:
        began = self._world.through_suspend
        found = await self._world.wire.send(
            lambda: self._world.claim(provider), StoreUnavailableError("down")
        )
        guard, new = cast(tuple[Guard, bool], found)
        return guard, began if new else None

    async def sending(self, guard: Guard, provider: str) -> tuple[Guard, float]:
        began = self._world.through_suspend
        fields = {"state": GuardState.SENDING, "provider": provider}
        return await self._ask(lambda: self._world.write(guard, **fields)), began

    async def not_sent(self, guard: Guard, *, refused: bool) -> Guard:
        by = [*guard.refused_by, guard.provider] if refused else guard.refused_by
        fields = {"state": GuardState.CLAIMED, "refused_by": by}
        return await self._ask(lambda: self._world.write(guard, **fields))

    async def over(
        self, guard: Guard, state: GuardState, *, at: datetime, reason: str | None = None
    ) -> Guard:
        fields = {"state": state, "at": at, "reason": reason}
        return await self._ask(lambda: self._world.write(guard, **fields))


class ModelProvider:
    """Has the methods of Provider."""

    def __init__(self, world: World, name: str, *, honours: bool) -> None:
        self._world = world
        self.name = name
        self.honours_reference = honours

    async def send(self, _: TextMessage, *, before: float) -> None:
        if self._world.through_suspend >= before:
            raise NotSentError("unreachable", final=False)
        await self._world.wire.send(
            lambda: self._world.take(self.name, honours=self.honours_reference),
            UnclearSendError("reset"),
        )

    async def knows(self, _: str) -> bool:
        known = await self._world.wire.send(
            lambda: self._world.delivered[self.name] > 0, UnclearSendError("reset")
        )
        return bool(known)

    async def usable(self) -> bool:
        return True


async def process(world: World, honouring: bool) -> None:
    """What the worker does with one record: again after a Retry."""
    providers = [
        ModelProvider(world, "first", honours=honouring),
        ModelProvider(world, "second", honours=False),
    ]
    work = Delivery(
        cast(Guards, ModelGuards(world)),
        cast(list[Provider], providers),
        clock=BusinessClock.real(),
        settle=timedelta(seconds=SETTLE),
    )
    while True:
        try:
            await work.deliver(MESSAGE)
        except (Retry, StoreUnavailableError):
            await Turn()
        else:
            return


ACTIONS = ["arrive"] * 7 + ["advance"] * 8 + ["time"] * 3
FAULTS = [
    "answer lost", "lost", "give up", "kill", "start", "start", "busy", "refusing", "suspend",
]  # fmt: skip
SKEWS = [0.0, 25.0, -25.0, 3600.0, -86_400.0]


@dataclass(eq=False)
class Process:
    """A replica on a host of its own."""

    host: Host
    run: Coroutine[Any, Any, None]

    def turn(self, world: World) -> bool:
        """Let it run until it waits; False when it has ended."""
        world.host = self.host
        return advance(self.run)


def started(data: st.DataObject, world: World, honouring: bool) -> Process:
    host = Host(data.draw(st.sampled_from(SKEWS), label="skew"), booted_at=world.wire.now - 5)
    return Process(host, process(world, honouring))


def pass_time(world: World, seconds: float) -> None:
    """A send arrives within the settling time of its guard, or never; that is what it means."""
    world.wire.now += seconds
    for parcel in world.wire.pending:
        if world.wire.now - parcel.sent_at >= SETTLE / 2:
            world.wire.lose(parcel)


def play(data: st.DataObject, *, honouring: bool) -> World:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        wall = SimpleNamespace(now=lambda _: world.wall)
        patch.setattr(delivery, "datetime", wall, raising=False)
        clock = SimpleNamespace(monotonic=lambda: world.monotonic)
        patch.setattr(delivery, "time", clock, raising=False)
        patch.setattr(delivery, "uptime", lambda: world.through_suspend)
        living = [started(data, world, honouring)]
        try:
            disturb(data, world, living, honouring)
        finally:
            for each in living:
                each.run.close()
        come_to_rest(data, world, started(data, world, honouring))
    return world


def disturb(data: st.DataObject, world: World, living: list[Process], honouring: bool) -> None:
    for kind in data.draw(st.lists(st.sampled_from(ACTIONS + FAULTS), min_size=20, max_size=80)):
        pending = world.wire.pending
        parcel = data.draw(st.sampled_from(pending)) if pending else None
        match kind:
            case "arrive" | "answer lost" if parcel:
                parcel.arrive(answered=kind == "arrive")
            case "lost" if parcel:
                world.wire.lose(parcel)
            case "give up" if parcel and not parcel.settled:
                parcel.give_up()
            case "time":
                pass_time(world, data.draw(st.sampled_from([0.5, 1.0, 4.0, SETTLE])))
            case "suspend" if living:
                chosen = data.draw(st.sampled_from(range(len(living))))
                living[chosen].host.suspended += SETTLE
                pass_time(world, SETTLE)
            case "kill" if len(living) > 1:
                living.pop(0).run.close()
            case "start" if len(living) < 3:
                living.append(started(data, world, honouring))
            case "advance" if living:
                chosen = data.draw(st.sampled_from(range(len(living))))
                if not living[chosen].turn(world):
                    del living[chosen]
            case "busy" | "refusing":
                affected = world.busy if kind == "busy" else world.refusing
                affected ^= {data.draw(st.sampled_from(["first", "second"]))}
        world.check()


def come_to_rest(data: st.DataObject, world: World, last: Process) -> None:
    world.busy.clear()
    late = world.wire.pending
    turns = 0
    try:
        while last.turn(world):
            turns += 1
            assert turns < 2000, f"no end: {world.guard}"
            if late and data.draw(st.booleans(), label="late"):
                late.pop().arrive(answered=False)
            for parcel in world.wire.pending:
                if parcel not in late:
                    parcel.arrive(answered=True)
            world.wire.now += 1
            late = [each for each in late if world.wire.now - each.sent_at < SETTLE / 2]
            world.check()
    finally:
        last.run.close()


@pytest.mark.parametrize("honouring", [True, False])
def test_message_is_delivered_once_or_refused_by_every_provider(honouring: bool) -> None:
    @search(400)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        world = play(data, honouring=honouring)
        assert world.guard is not None
        if world.guard.state is GuardState.REFUSED:
            assert not +world.delivered
        else:
            assert world.guard.state is GuardState.SENT
            assert +world.delivered == Counter({world.guard.provider: 1})

    holds()


async def test_refusal_of_a_removed_provider_does_not_count() -> None:
    """Providers are told by their names, not by how many have refused."""
    refused = {"reference": "m", "state": GuardState.CLAIMED, "refused_by": ["gone"]}

    class Resting(ModelProvider):
        async def usable(self) -> bool:
            return False

    def work(world: World) -> Delivery:
        provider = Resting(world, "first", honours=False)
        return Delivery(
            cast(Guards, ModelGuards(world)),
            cast(list[Provider], [provider]),
            clock=BusinessClock.real(),
            settle=timedelta(seconds=SETTLE),
        )

    async def ended(world: World) -> Guard:
        delivering = asyncio.create_task(work(world).deliver(MESSAGE))
        while not delivering.done():
            await asyncio.sleep(0)
            for parcel in world.wire.pending:
                parcel.arrive(answered=True)
        return delivering.result()[0]

    with pytest.raises(Retry):  # "first" has not been asked
        await ended(World(guard=Guard(**refused)))
    both = World(guard=Guard(**{**refused, "refused_by": ["gone", "first"]}))
    assert (await ended(both)).state is GuardState.REFUSED


async def test_message_that_a_removed_provider_may_have_is_held_for_an_operator() -> None:
    """Nobody can say whether it was sent: it neither waits for ever nor goes to another one."""
    guard = Guard(reference="m", state=GuardState.SENDING, provider="gone")
    world = World(guard=guard)

    async def delivered_by(*names: str) -> Guard:
        work = Delivery(
            cast(Guards, ModelGuards(world)),
            cast(list[Provider], [ModelProvider(world, n, honours=False) for n in names]),
            clock=BusinessClock.real(),
            settle=timedelta(seconds=SETTLE),
        )
        delivering = asyncio.create_task(work.deliver(MESSAGE))
        while not delivering.done():
            await asyncio.sleep(0)
            for parcel in world.wire.pending:
                parcel.arrive(answered=True)
        return delivering.result()[0]

    with pytest.raises(StrandedMessageError, match="gone"):
        await delivered_by("first")
    assert (world.guard, world.delivered) == (guard, Counter())
    # Put back and replayed, it is asked as ever.
    world.delivered["gone"] = 1
    assert (await delivered_by("first", "gone")).state is GuardState.SENT
    world.check()


def by_hand(patch: pytest.MonkeyPatch) -> World:
    """A world whose processes the test advances itself."""
    world = World()
    wall = SimpleNamespace(now=lambda _: world.wall)
    patch.setattr(delivery, "datetime", wall, raising=False)
    clock = SimpleNamespace(monotonic=lambda: world.monotonic)
    patch.setattr(delivery, "time", clock, raising=False)
    patch.setattr(delivery, "uptime", lambda: world.through_suspend)
    return world


def turn_until_parcel(world: World, one: Process) -> Parcel:
    """Let a process run until it has sent something, and return that."""
    while not world.wire.pending:
        assert one.turn(world)
    return world.wire.pending[-1]


@pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0])
def test_no_of_a_provider_under_any_clock_is_believed_after_settling(
    skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process is frozen with its message on the wire; the successor's clock is wrong."""
    world = by_hand(monkeypatch)
    first = Process(Host(), process(world, honouring=False))
    turn_until_parcel(world, first).arrive(answered=True)  # the guard is written
    first.turn(world)
    message = turn_until_parcel(world, first)
    second = Process(Host(skew=skew, booted_at=-500), process(world, honouring=False))
    for _ in range(int(SETTLE / 2)):
        world.wire.now += 1
        for _ in range(6):
            second.turn(world)
            for parcel in world.wire.pending:
                if parcel is not message:
                    parcel.arrive(answered=True)
    assert not world.delivered
    message.arrive(answered=True)
    while second.turn(world):
        world.wire.now += 1
        for parcel in world.wire.pending:
            parcel.arrive(answered=True)
        world.check()
    first.run.close()
    assert +world.delivered == Counter({"first": 1})


def test_process_that_was_suspended_after_its_guard_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its CLOCK_MONOTONIC stood still, so nothing seems to have passed since."""
    world = by_hand(monkeypatch)
    one = Process(Host(), process(world, honouring=False))
    turn_until_parcel(world, one).arrive(answered=True)
    one.host.suspended += 600
    world.wire.now += 600
    one.turn(world)
    [written] = world.wire.pending
    written.arrive(answered=True)
    one.run.close()
    assert not world.delivered
    assert world.guard is not None
    assert world.guard.state is GuardState.CLAIMED
