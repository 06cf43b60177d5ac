"""Publish the state of this process's gates on the topic `connectors.state`.

`tongban province list` reads the topic and calls no process: circuit breaker, cause of a block, and
number of waiting records. No decision rests on it, so a failure here delays the display and
nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from tongban_common.clock import BusinessClock
from tongban_common.control.connectors import TELL_S, CircuitState, ConnectorState
from tongban_common.control.records import JSON_HEADERS
from tongban_common.topics import CONNECTORS_STATE
from tongban_connectors.domain.breaker import Circuit
from tongban_connectors.gate import Gate
from tongban_kafka import EventProducer, KafkaUnavailableError

log = structlog.get_logger()
_EVERY_S = 1.0
_CIRCUITS = {
    Circuit.CLOSED: CircuitState.CLOSED,
    Circuit.PROBING: CircuitState.HALF_OPEN,
    Circuit.OPEN: CircuitState.OPEN,
}


class StateReporter:
    """Publishes each change of a gate's state within a second, and every state each `TELL_S`.

    Args:
        producer: used for nothing else: when one record cannot be written, all that are pending
            with it fail, and an outcome must not be among them.
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
        self._published: dict[str, tuple[ConnectorState, float]] = {}
        """By province: the last published state, and when (monotonic seconds)."""

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(_EVERY_S)

    async def publish(self) -> None:
        """Publish the states that are due. The next call repeats what fails, which is logged."""
        ends = await asyncio.gather(*map(self._publish, self._gates), return_exceptions=True)
        faults = dict(zip(self._gates, ends, strict=True))
        away = [fault for fault in ends if isinstance(fault, KafkaUnavailableError)]
        if away:
            log.warning("connector_state.not_published", provinces=len(away), error=str(away[0]))
        for province, fault in faults.items():
            if isinstance(fault, Exception) and not isinstance(fault, KafkaUnavailableError):
                log.error("connector_state.fault", province=province, exc_info=fault)

    def state_of(self, province: str) -> ConnectorState:
        """Return the state of a province's gate now."""
        gate, now = self._gates[province], self._clock.now()
        circuit, block = gate.breaker.state, gate.block(effect=True)
        cause, until = gate.cause, None if block is None else block.until
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

    async def _publish(self, province: str) -> None:
        state, now = self.state_of(province), time.monotonic()
        published, at = self._published.get(province, (None, 0.0))
        if state == published and now - at < TELL_S:
            return
        key, value = state.to_record()
        await self._producer.send(CONNECTORS_STATE, key=key, value=value, headers=JSON_HEADERS)
        self._published[province] = (state, now)


def _whole(moment: datetime) -> datetime:
    """Truncate to the second, so that a smaller difference is no change."""
    return moment.replace(microsecond=0)
