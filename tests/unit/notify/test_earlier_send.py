"""An earlier send of a message may still arrive: what a later attempt brings decides nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.unit.notify.test_once import SETTLE, Host, Process, World, by_hand, process
from tests.unit.wire_kit import Parcel
from tongban_notify.guards import GuardState
from tongban_notify.sms.provider import UnclearSendError


def is_message(parcel: Parcel) -> bool:
    """Return True for a message to a provider, not a question to one or a write to the store."""
    return (
        isinstance(parcel.trouble, UnclearSendError) and "knows" not in parcel.effect.__qualname__
    )


def until_sent(world: World, one: Process, *, sends: int) -> Parcel:
    """Let the process run until it has sent so many messages; return the last, not yet arrived."""
    for _ in range(500):
        messages = [parcel for parcel in world.wire.parcels if is_message(parcel)]
        if len(messages) == sends:
            return messages[-1]
        assert one.turn(world)
        for parcel in world.wire.pending:
            if not is_message(parcel):
                parcel.arrive(answered=True)
    raise AssertionError("no further message")


@pytest.mark.parametrize("how", ["refusing", "busy"])
@pytest.mark.parametrize("restarted", [False, True])
def test_repeated_send_that_is_refused_lets_no_other_provider_try_before_the_first_is_settled(
    how: str, restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider honours references, so the message is sent to it again at once."""
    world = by_hand(monkeypatch)
    one = Process(Host(), process(world, honouring=True))
    first = until_sent(world, one, sends=1)
    first.give_up()
    if restarted:
        one.run.close()
        one = Process(Host(), process(world, honouring=True))
    second = until_sent(world, one, sends=2)
    affected = world.busy if how == "busy" else world.refusing
    affected.add("first")
    second.arrive(answered=True)
    for _ in range(40):  # no time passes
        assert one.turn(world)
        for parcel in world.wire.pending:
            if parcel is not first:
                parcel.arrive(answered=True)
    affected.clear()
    first.arrive(answered=False)
    world.check()
    while one.turn(world):
        world.wire.now += 1
        for parcel in world.wire.pending:
            parcel.arrive(answered=True)
        world.check()
    assert +world.delivered == Counter({"first": 1})
    assert world.guard is not None
    assert world.guard.state is GuardState.SENT


def test_provider_that_refuses_every_attempt_is_followed_by_the_next_after_settling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first send was lost, so the wait ends."""
    world = by_hand(monkeypatch)
    one = Process(Host(), process(world, honouring=True))
    first = until_sent(world, one, sends=1)
    world.wire.lose(first)
    world.refusing.add("first")
    turns = 0
    while one.turn(world):
        turns += 1
        assert turns < 500
        world.wire.now += 1
        for parcel in world.wire.pending:
            parcel.arrive(answered=True)
        if world.delivered["second"]:
            assert world.wire.now >= SETTLE
    assert +world.delivered == Counter({"second": 1})
