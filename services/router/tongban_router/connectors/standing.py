"""Telling operators how this process stands to its provinces, on `connectors.state`.

For `tongban province list`, which asks no process: circuit breaker, what keeps calls from being
made, and how many records wait. Nothing is decided by it, so that Kafka being away, or a fault of
ours, costs a word and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from tongban_common.clock import BusinessClock
from tongban_common.control.connectors import TELL_S, CircuitState, ConnectorState
from tongban_common.control.records import JSON_HEADERS
from tongban_common.kafka import EventProducer, KafkaUnavailable
from tongban_common.topics import CONNECTORS_STATE
from tongban_router.connectors.breaker import Circuit
from tongban_router.connectors.gate import Gate

log = structlog.get_logger()
_LOOK_S = 1.0
_CIRCUITS = {
    Circuit.CLOSED: CircuitState.CLOSED,
    Circuit.PROBING: CircuitState.HALF_OPEN,
    Circuit.OPEN: CircuitState.OPEN,
}


class Standing:
    """Looks at every gate each second; tells what has changed, and all of it every `TELL_S`.

    Args:
        producer: its own. Where one record cannot be written, all that is pending with it fails,
            and that must be no outcome.
    """

    def __init__(
        self,
        gates: Mapping[str, Gate],
        *,
        producer: EventProducer,
        clock: BusinessClock,
        instance: str,
    ) -> None:
        self._gates = gates
        self._producer = producer
        self._clock = clock
        self._instance = instance
        self._seen: dict[str, ConnectorState] = {}
        self._told: dict[str, tuple[ConnectorState, float]] = {}
        """By province: what was told last, and when (monotonic)."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(_LOOK_S)

    async def tell(self) -> None:
        """Look once, and tell what is to be told. What fails is tried at the next look."""
        ends = await asyncio.gather(*map(self._tell, self._gates), return_exceptions=True)
        faults = dict(zip(self._gates, ends, strict=True))
        away = [fault for fault in ends if isinstance(fault, KafkaUnavailable)]
        if away:
            log.warning("standing.not_told", provinces=len(away), error=str(away[0]))
        for province, fault in faults.items():
            if isinstance(fault, Exception) and not isinstance(fault, KafkaUnavailable):
                log.error("standing.fault", province=province, exc_info=fault)

    def look(self, province: str) -> ConnectorState:
        """How it is now."""
        gate, now = self._gates[province], self._clock.now()
        circuit, closure = gate.breaker.state, gate.closure(effect=True)
        cause, until = None, None
        if closure is not None:
            cause, until = closure.cause, closure.until
        elif circuit is not Circuit.CLOSED:
            cause = gate.breaker.cause  # a probe may go, and so far nothing better is known
        if until is None and cause == "down" and circuit is Circuit.OPEN:
            until = now + timedelta(seconds=gate.breaker.remaining_s() * self._clock.speed)
        before = self._seen.get(province)
        state = ConnectorState(
            province=province,
            instance=self._instance,
            circuit=_CIRCUITS[circuit],
            cause=cause,
            since=before.since if before is not None and before.cause == cause else _whole(now),
            until=None if until is None else _whole(until),
            waiting=gate.waiting,
        )
        self._seen[province] = state
        return state

    async def _tell(self, province: str) -> None:
        state, now = self.look(province), time.monotonic()
        told, at = self._told.get(province, (None, 0.0))
        if state == told and now - at < TELL_S:
            return
        key, value = state.to_record()
        await self._producer.send(CONNECTORS_STATE, key=key, value=value, headers=JSON_HEADERS)
        self._told[province] = (state, now)


def _whole(moment: datetime) -> datetime:
    """To the second: it is read by people, and a difference of less is no change."""
    return moment.replace(microsecond=0)


@asynccontextmanager
async def told(standing: Standing) -> AsyncIterator[None]:
    """Tell meanwhile."""
    telling = asyncio.create_task(standing.run(), name="standing")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])
