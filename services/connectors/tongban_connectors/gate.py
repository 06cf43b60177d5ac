"""Whether a province may be called now, and the line of those that wait until it may.

Everything that keeps us from calling a province comes together here: its service hours, what its
gateway asks for, the circuit breaker, an operator's pause. A record that may not call stands in
line; it costs no attempt and no turn of the loop until it is called up: one alone where the
breaker wants a probe, else in slices, so that a long line neither blocks the loop nor stands before
the gateway all at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from tongban_common.clock import BusinessClock
from tongban_connectors.breaker import Breaker, Circuit
from tongban_connectors.restarts import kinds_of

log = structlog.get_logger()

CIRCUIT = Gauge(
    "tongban_connector_circuit",
    "Circuit breaker: 0 closed, 1 one call may probe, 2 open",
    ["province"],
)
WAITING = Gauge(
    "tongban_connector_waiting", "Records that wait until the province may be called", ["province"]
)
LONGEST_WAIT_S = {"closed": 15 * 86_400.0, "throttled": 600.0}
"""Wall-clock seconds for which a gateway may ask to be left alone, whatever it says."""
_ASK_AGAIN_S = 86_400.0
"""A gateway that is closed for longer is asked again every so often: it may have been mistaken."""
_LOOK_AGAIN_S = 30.0
"""Longest time without a look at what closes the gate: clocks are set, minds are changed."""
_PAUSED_S = 1.0
"""The same while an operator's pause may be taken back at any moment."""
_SLICE_S = 0.02
"""Between two slices of a line that is called up."""
_PROBE_S = 1.0
"""A record that was called up as the probe has called by then, or another one is called up."""


@dataclass(frozen=True, slots=True)
class Block:
    """What keeps us from calling."""

    cause: str
    """As `ProvinceOutcome.cause`: closed, down, throttled or paused."""
    until: datetime | None = None
    """Business time at which it ends; None: not known."""
    effects_only: bool = False
    """Look-ups may be made all the same."""
    reason: str | None = None
    """For people, where there is more to say than the cause does."""


Source = Callable[[], Block | None]
"""Asked at every call, so it must be cheap: None while it keeps nobody from calling. A source
that changes its mind before its `until` says so by `Gate.recheck`."""


class GateClosedError(Exception):
    """The call may not be made now; nothing was sent."""

    def __init__(self, closure: Block, *, effect: bool) -> None:
        super().__init__(closure.cause)
        self.closure = closure
        self.effect = effect


class Gate:
    """One province's. Not for several threads."""

    def __init__(
        self,
        province: str,
        *,
        clock: BusinessClock,
        sources: Sequence[Source] = (),
        breaker: Breaker | None = None,
        slice_size: int = 32,
    ) -> None:
        self._clock = clock
        self._sources = tuple(sources)
        self._breaker = breaker or Breaker()
        self._slice = max(1, slice_size)
        self._lines: dict[bool, dict[asyncio.Future[None], None]] = {False: {}, True: {}}
        self._timer: asyncio.TimerHandle | None = None
        self._closed_until: datetime | None = None
        self._ask_again_at: datetime | None = None
        # Asked at each scrape: the state changes with time alone, too.
        CIRCUIT.labels(province).set_function(lambda: self._breaker.state)
        WAITING.labels(province).set_function(lambda: self.waiting)

    @property
    def breaker(self) -> Breaker:
        """To be looked at."""
        return self._breaker

    # -- asking and passing ---------------------------------------------------------------------

    def closure(self, *, effect: bool) -> Block | None:
        """What keeps a call from being made; `effect`: it is not a mere look-up."""
        for source in self._sources:
            found = _asked(source)
            if found is not None and (effect or not found.effects_only):
                return found
        if effect and self._ask_again_at is not None:
            if self._clock.now() < self._ask_again_at:
                return Block("closed", self._closed_until, effects_only=True)
            self._closed_until = self._ask_again_at = None
        seconds = self._breaker.remaining_s()
        if seconds == 0:
            return None
        cause = self._breaker.cause
        told = cause != "down" and self._breaker.state is Circuit.OPEN
        return Block(cause, self._in(seconds) if told else None)

    def _in(self, seconds: float) -> datetime:
        """Business time in so many real seconds; the end of time where that is beyond it."""
        now = self._clock.now()
        try:
            return now + timedelta(seconds=seconds * self._clock.speed)
        except (OverflowError, ValueError):
            return datetime.max.replace(tzinfo=now.tzinfo)

    def close_effects(self, seconds: float) -> None:
        """The gateway takes nothing in for so long; it can be asked all the same."""
        until = self._in(seconds)
        if self._closed_until is None or until > self._closed_until:
            self._closed_until = until
            self._ask_again_at = self._in(min(seconds, _ASK_AGAIN_S))
        self.recheck()

    def enter(self, *, effect: bool) -> Permit:
        """Leave to make one call; its end is to be told to the permit.

        Raises:
            GateClosedError: not now.
        """
        closure = self.closure(effect=effect)
        if closure is not None:
            raise GateClosedError(closure, effect=effect)
        return Permit(self, self._breaker, self._breaker.enter(), effect=effect)

    # -- waiting --------------------------------------------------------------------------------

    def stand_in_line(self, *, effect: bool) -> asyncio.Future[None]:
        """A future that resolves when a call may be worth trying. Cancel it to leave the line."""
        place = asyncio.get_running_loop().create_future()
        line = self._lines[effect]
        line[place] = None
        place.add_done_callback(lambda left: line.pop(left, None))
        self._arm()
        return place

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return sum(len(line) for line in self._lines.values())

    def recheck(self) -> None:
        """Something has changed: call up whoever may go on, or set the clock anew."""
        self._arm(0.0)

    def _arm(self, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting:
            wait = self._look_again_s() if seconds is None else seconds
            self._timer = asyncio.get_running_loop().call_later(wait, self._call_up)

    def _look_again_s(self) -> float:
        """Seconds until one of the lines may go on, as far as known."""
        waits = [_LOOK_AGAIN_S]
        for effect, line in self._lines.items():
            if not line:
                continue
            closure = self.closure(effect=effect)
            if closure is None:
                waits.append(_SLICE_S)
            elif closure.until is not None:
                waits.append(self._clock.real_seconds(closure.until - self._clock.now()))
            elif closure.cause == "down":
                waits.append(self._breaker.remaining_s() or _PAUSED_S)
            if closure is not None and closure.cause == "paused":
                waits.append(_PAUSED_S)
        return max(_SLICE_S, min(waits))

    def _call_up(self) -> None:
        self._timer = None
        probing = self._breaker.state is not Circuit.CLOSED
        room = 1 if probing else self._slice
        for effect, line in self._lines.items():
            if self.closure(effect=effect) is None:
                called = list(line)[:room]
                room -= len(called)
                for place in called:
                    line.pop(place)
                    if not place.done():
                        place.set_result(None)
        self._arm(_PROBE_S if probing and not room else None)


def _asked(source: Source) -> Block | None:
    """What a source says. One that fails keeps the province shut: its fault is not the record's."""
    try:
        return source()
    except Exception as error:
        log.error("gate.source_failed", error=kinds_of(error))
        return Block("down")


class Permit:
    """One call under way. Exactly one of its methods is to be called, at its end."""

    def __init__(self, gate: Gate, breaker: Breaker, call: int, *, effect: bool) -> None:
        self._effect = effect
        self._gate = gate
        self._breaker = breaker
        self._call = call

    def succeeded(self) -> None:
        """The gateway answered clearly."""
        before = self._breaker.state
        self._breaker.succeeded(self._call)
        if before is not Circuit.CLOSED:
            self._gate.recheck()

    def failed(self) -> None:
        """It did not."""
        self._breaker.failed(self._call)
        self._gate.recheck()

    def told(self, cause: str, seconds: float) -> None:
        """It asks to be left alone; for no longer than is sensible, whatever it says."""
        longest = LONGEST_WAIT_S.get(cause, LONGEST_WAIT_S["throttled"])
        seconds = min(max(0.1, seconds), longest) if math.isfinite(seconds) else longest
        if cause == "closed" and self._effect:
            self._breaker.succeeded(self._call)
            self._gate.close_effects(seconds)
            return
        self._breaker.told(cause, min(seconds, _ASK_AGAIN_S))
        self._gate.recheck()

    def abandoned(self) -> None:
        """Nothing came of the call, and nothing is known of the gateway."""
        self._breaker.abandoned(self._call)
        self._gate.recheck()
