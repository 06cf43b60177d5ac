"""Call a gateway within its limits: calls at once, calls a second, and only through the gate."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Gauge, Histogram

from tongban_common.tracing import attributes as names
from tongban_common.tracing import observed, span
from tongban_connectors.domain.gateway import (
    GatewayDownError,
    GatewayRefusedError,
    RetryLaterError,
    UnclearAnswerError,
)
from tongban_connectors.gate import Gate

CALLS = Counter(
    "tongban_connector_calls_total", "Calls to gateways", ["province", "call", "result"]
)
SECONDS = Histogram("tongban_connector_call_seconds", "Seconds of a call", ["province"])
RATE = Gauge(
    "tongban_connector_rate_per_s", "Calls a second that we allow ourselves now", ["province"]
)
_SLOWER_AFTER_S, _FASTER_AFTER_S = 1.0, 5.0
"""Least time between two changes of the rate: calls that are under way together are throttled
together, and count once."""
_SHARE_EVERY_S = 1.0
_LEAST_SHARE = 0.01
_AnswerT = TypeVar("_AnswerT")


class Caller:
    """Makes the calls of one province; each waits for a slot, the rate limit and the gate.

    A gateway that throttles us is called at half the rate, which then grows again step by step.

    Args:
        concurrency: calls at once, of all processes together.
        rate_per_s: calls begun in a second, of all processes together.
        share: returns this process's share of both limits, above 0 and up to 1; called once a
            second at most. Processes that share a province's partitions share its limits.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        province: str,
        gate: Gate,
        *,
        concurrency: int,
        rate_per_s: float,
        share: Callable[[], float] = lambda: 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._province = province
        self._gate = gate
        self._share = share
        self._now = now
        self._all_slots, self._all_rate = concurrency, rate_per_s
        # The share is first read by the first call: the worker that knows it is made later.
        self._current_share, self._share_read_at = 1.0, -math.inf
        self._slots = asyncio.Semaphore(concurrency)
        self._allowed = rate_per_s
        self._set_rate(rate_per_s)

    def _refresh_share(self) -> None:
        if self._now() - self._share_read_at < _SHARE_EVERY_S:
            return
        self._share_read_at = self._now()
        share = min(1.0, max(_LEAST_SHARE, self._share()))
        if share != self._current_share:
            self._current_share = share
            # Calls under way give their slots back to the old semaphore. Their records are given up
            # together with the partitions from which the share is computed.
            self._slots = asyncio.Semaphore(math.ceil(self._all_slots * share))
            self._allowed = self._all_rate * share
            self._set_rate(self._allowed)

    def _set_rate(self, rate: float) -> None:
        # In steps of a tenth of a second, so that a long queue does not call all at once.
        step = max(1.0, rate / 10)
        self._limiter = AsyncLimiter(step, step / rate)
        self._rate, self._changed_at = rate, self._now()
        RATE.labels(self._province).set(rate)

    def _slow_down(self) -> None:
        if self._now() - self._changed_at > _SLOWER_AFTER_S or self._rate == self._allowed:
            self._set_rate(max(min(1.0, self._allowed), self._rate / 2))

    def _speed_up(self) -> None:
        if self._rate < self._allowed and self._now() - self._changed_at > _FASTER_AFTER_S:
            self._set_rate(min(self._allowed, self._rate * 1.25))

    async def call(
        self, name: str, make: Callable[[], Awaitable[_AnswerT]], *, effect: bool
    ) -> _AnswerT:
        """Make one call when it is its turn, and report its end to the gate and the metrics.

        An exception that is no `GatewayError` says nothing about the gateway.

        Args:
            name: label `call` of the metric.
            make: makes the call.
            effect: False for a call that changes nothing at the gateway.

        Raises:
            GateClosedError: the province must not be called now.
            GatewayError: raised by the call.
        """
        self._refresh_share()
        async with self._slots:
            await self._limiter.acquire()
            permit = self._gate.enter(effect=effect)
            result = "abandoned"
            attributes = {names.PROVINCE: self._province, names.CALL: name}
            try:
                with (
                    span("province call", attributes=attributes),
                    observed(SECONDS.labels(self._province)),
                ):
                    answer = await make()
                result = "ok"
                permit.succeeded()
                self._speed_up()
                return answer
            except RetryLaterError as later:
                result = later.cause
                if later.cause == "throttled":
                    self._slow_down()
                permit.wait_requested(later.cause, later.after_s)
                raise
            except GatewayRefusedError:
                result = "refused"
                permit.succeeded()
                raise
            except (GatewayDownError, UnclearAnswerError) as error:
                result = error.result
                permit.failed()
                raise
            finally:
                if result == "abandoned":
                    permit.abandoned()
                CALLS.labels(self._province, name, result).inc()
