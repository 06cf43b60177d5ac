"""Processes as coroutines driven by hand, and a wire between them and the world.

Whatever a process sends lies on the wire until a test decides: it arrives, it arrives and the
answer is lost, it is lost, or the sender gives up waiting while it is still under way. Between any
two of these a process may be killed, or another take over while the first sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings


def search(examples: int) -> settings:
    """Settings of a search for an order of events that breaks a promise.

    A failing example is reported as it was found, with the line that plays it again. Hypothesis
    would shrink it for up to five minutes, and the limit of the test would end that unreported.
    """
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        report_multiple_bugs=False,
        print_blob=True,
    )


class Turn:
    """Awaited, it lets the test decide what happens next."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass(eq=False)
class Parcel:
    """Something under way, and what its sender waits for."""

    effect: Callable[[], Any]
    trouble: Exception
    sent_at: float = 0
    arrived: bool = False
    answer: Any = None
    settled: bool = False
    """The sender has an answer, or has given up."""

    def arrive(self, *, answered: bool) -> None:
        self.arrived = True
        try:
            answer = self.effect()
        except Exception as refusal:
            answer = refusal
        if not self.settled:
            self.answer = answer if answered else self.trouble
            self.settled = True

    def give_up(self) -> None:
        self.answer, self.settled = self.trouble, True


@dataclass
class Wire:
    parcels: list[Parcel] = field(default_factory=list)
    now: float = 0

    async def send(self, effect: Callable[[], Any], trouble: Exception) -> Any:
        """What comes back, or the trouble if nothing does."""
        parcel = Parcel(effect, trouble, self.now)
        self.parcels.append(parcel)
        while not parcel.settled:
            await Turn()
        if isinstance(parcel.answer, Exception):
            raise parcel.answer
        return parcel.answer

    @property
    def pending(self) -> list[Parcel]:
        return [parcel for parcel in self.parcels if not parcel.arrived]

    def lose(self, parcel: Parcel) -> None:
        self.parcels.remove(parcel)
        parcel.give_up()


def advance(coroutine: Coroutine[Any, Any, None]) -> bool:
    """One turn; False when it has ended."""
    try:
        coroutine.send(None)
    except StopIteration:
        return False
    return True
