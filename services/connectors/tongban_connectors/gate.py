"""Decide if a province may be called now, and queue the records that wait until it may.

The gate combines everything that keeps the connector from calling a province: its service hours,
the waits that its gateway asks for, the circuit breaker, an operator's pause. A queued record costs
no attempt and no turn of the loop until the gate releases it. While the breaker wants a probe, the
gate releases one record alone; else it releases slices, so that a long queue neither blocks the
loop nor calls the gateway all at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from prometheus_client import Gauge

from tongban_common.clock import BusinessClock
from tongban_connectors.domain.breaker import Breaker, Circuit
from tongban_connectors.domain.gateway import LONGEST_WAIT_S
from tongban_connectors.errors import ConnectorsError
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
WAITING_FOR = Gauge(
    "tongban_connector_waiting_records",
    "Records that wait until the province may be called, by cause: closed, paused, down, throttled",
    ["province", "cause"],
)
BLOCKED = Gauge(
    "tongban_connector_blocked",
    "1 while calls with an effect are kept from the province for this cause",
    ["province", "cause"],
)
CAUSES = ("closed", "paused", "down", "throttled")
_TRY_AGAIN_S = 86_400.0
"""A gateway that is closed for longer is called again after this time, in case it was mistaken."""
_LOOK_AGAIN_S = 30.0
"""Most seconds between two evaluations of the sources: a clock may be set, or a source may change
early."""
_PAUSED_S = 1.0
"""The same while an operator's pause holds, which may be lifted at any moment."""
_SLICE_S = 0.02
"""Seconds between two released slices of a queue."""
_PROBE_S = 1.0
"""Seconds in which the record that was released as the probe has to make its call; then the gate
releases another one."""


@dataclass(frozen=True, slots=True)
class Block:
    """A reason for which a province must not be called."""

    cause: str
    """Names the cause as `ProvinceOutcome.cause` does: closed, down, throttled or paused."""
    until: datetime | None = None
    """Business time at which it ends; None: not known."""
    effects_only: bool = False
    """True if look-ups may be made all the same."""
    reason: str | None = None
    """Text for people, if it says more than the cause does."""


Source = Callable[[], Block | None]
"""Called before every call of the gateway, so it must be cheap. Returns None while calls may be
made. A source that changes before its `until` has to call `Gate.recheck`."""


class GateClosedError(ConnectorsError):
    """The call may not be made now; nothing was sent."""

    def __init__(self, block: Block, *, effect: bool) -> None:
        super().__init__(block.cause)
        self.block = block
        self.effect = effect


class Gate:
    """Lets the calls of one province through, or queues their records. Not thread-safe."""

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
        self._queues: dict[bool, dict[asyncio.Future[None], None]] = {False: {}, True: {}}
        """By `effect`; dicts serve as ordered sets."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed_until: datetime | None = None
        self._try_again_at: datetime | None = None
        # Evaluated at each scrape, since the state changes with time alone, too.
        CIRCUIT.labels(province).set_function(lambda: self._breaker.state)
        WAITING.labels(province).set_function(lambda: self.waiting)
        for cause in CAUSES:
            BLOCKED.labels(province, cause).set_function(partial(self._blocked_by, cause))
            WAITING_FOR.labels(province, cause).set_function(partial(self._waiting_for, cause))

    @property
    def breaker(self) -> Breaker:
        """The circuit breaker, for reading."""
        return self._breaker

    @property
    def cause(self) -> str | None:
        """The cause for which calls with an effect are kept back, or None. While the breaker
        probes it is that of its last opening: until the probe ends nothing better is known."""
        block = self.block(effect=True)
        if block is not None:
            return block.cause
        return None if self._breaker.state is Circuit.CLOSED else self._breaker.cause

    def _blocked_by(self, cause: str) -> bool:
        return self.cause == cause

    def _waiting_for(self, cause: str) -> int:
        return self.waiting if self.cause == cause else 0

    # -- calls ----------------------------------------------------------------------------------

    def block(self, *, effect: bool) -> Block | None:
        """Return what keeps a call from being made; `effect` is False for a mere look-up."""
        for source in self._sources:
            found = _block_of(source)
            if found is not None and (effect or not found.effects_only):
                return found
        if effect and self._try_again_at is not None:
            if self._clock.now() < self._try_again_at:
                return Block("closed", self._closed_until, effects_only=True)
            self._closed_until = self._try_again_at = None
        seconds = self._breaker.remaining_s()
        if seconds == 0:
            return None
        cause = self._breaker.cause
        requested = cause != "down" and self._breaker.state is Circuit.OPEN
        return Block(cause, self._in(seconds) if requested else None)

    def _in(self, seconds: float) -> datetime:
        """Return the business time after so many real seconds, at most `datetime.max`."""
        now = self._clock.now()
        try:
            return now + timedelta(seconds=seconds * self._clock.speed)
        except (OverflowError, ValueError):
            return datetime.max.replace(tzinfo=now.tzinfo)

    def close_effects(self, seconds: float) -> None:
        """Keep off calls that have an effect for so many real seconds; look-ups go on."""
        until = self._in(seconds)
        if self._closed_until is None or until > self._closed_until:
            self._closed_until = until
            self._try_again_at = self._in(min(seconds, _TRY_AGAIN_S))
        self.recheck()

    def enter(self, *, effect: bool) -> Permit:
        """Return a permit for one call. The caller has to report the call's end to it.

        Raises:
            GateClosedError: the call may not be made now.
        """
        block = self.block(effect=effect)
        if block is not None:
            raise GateClosedError(block, effect=effect)
        return Permit(self, self._breaker, self._breaker.enter(), effect=effect)

    # -- queue ----------------------------------------------------------------------------------

    def join_queue(self, *, effect: bool) -> asyncio.Future[None]:
        """Return a future that resolves when a call may succeed. Cancel it to leave the queue."""
        place = asyncio.get_running_loop().create_future()
        queue = self._queues[effect]
        queue[place] = None
        place.add_done_callback(lambda left: queue.pop(left, None))
        self._arm()
        return place

    @property
    def waiting(self) -> int:
        """Number of queued records."""
        return sum(len(queue) for queue in self._queues.values())

    def recheck(self) -> None:
        """Evaluate all sources again, and release the records that may go on."""
        self._arm(0.0)

    def _arm(self, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting:
            wait = self._look_again_s() if seconds is None else seconds
            self._timer = asyncio.get_running_loop().call_later(wait, self._release)

    def _look_again_s(self) -> float:
        """Return the seconds until one of the queues may go on, as far as known."""
        waits = [_LOOK_AGAIN_S]
        for effect, queue in self._queues.items():
            if not queue:
                continue
            block = self.block(effect=effect)
            if block is None:
                waits.append(_SLICE_S)
            elif block.until is not None:
                waits.append(self._clock.real_seconds(block.until - self._clock.now()))
            elif block.cause == "down":
                waits.append(self._breaker.remaining_s() or _PAUSED_S)
            if block is not None and block.cause == "paused":
                waits.append(_PAUSED_S)
        return max(_SLICE_S, min(waits))

    def _release(self) -> None:
        self._timer = None
        probing = self._breaker.state is not Circuit.CLOSED
        room = 1 if probing else self._slice
        for effect, queue in self._queues.items():
            if self.block(effect=effect) is None:
                released = list(queue)[:room]
                room -= len(released)
                for place in released:
                    queue.pop(place)
                    if not place.done():
                        place.set_result(None)
        self._arm(_PROBE_S if probing and not room else None)


def _block_of(source: Source) -> Block | None:
    """Return the source's block. A source that fails closes the gate: no record is at fault."""
    try:
        return source()
    except Exception as error:
        log.error("gate.source_failed", error=kinds_of(error))
        return Block("down")


class Permit:
    """One call under way. Its caller calls exactly one of the methods, at the call's end."""

    def __init__(self, gate: Gate, breaker: Breaker, call: int, *, effect: bool) -> None:
        self._effect = effect
        self._gate = gate
        self._breaker = breaker
        self._call = call

    def succeeded(self) -> None:
        """Report a clear answer."""
        before = self._breaker.state
        self._breaker.succeeded(self._call)
        if before is not Circuit.CLOSED:
            self._gate.recheck()

    def failed(self) -> None:
        """Report that no clear answer came."""
        self._breaker.failed(self._call)
        self._gate.recheck()

    def wait_requested(self, cause: str, seconds: float) -> None:
        """Report that the gateway asks for a wait, which is bounded by `LONGEST_WAIT_S`."""
        longest = LONGEST_WAIT_S.get(cause, LONGEST_WAIT_S["throttled"])
        seconds = min(max(0.1, seconds), longest) if math.isfinite(seconds) else longest
        if cause == "closed" and self._effect:
            self._breaker.succeeded(self._call)
            self._gate.close_effects(seconds)
            return
        self._breaker.wait_requested(cause, min(seconds, _TRY_AGAIN_S))
        self._gate.recheck()

    def abandoned(self) -> None:
        """Report that the call ended without any information about the gateway."""
        self._breaker.abandoned(self._call)
        self._gate.recheck()
