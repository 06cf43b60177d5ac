"""Calling a gateway: so many at once, so many a second, and only while the gate lets us."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Gauge, Histogram

from tongban_connectors.gate import Gate
from tongban_connectors.gateway import (
    GatewayDownError,
    GatewayRefusedError,
    RetryLaterError,
    UnclearAnswerError,
)

CALLS = Counter(
    "tongban_connector_calls_total", "Calls to gateways", ["province", "call", "result"]
)
SECONDS = Histogram("tongban_connector_call_seconds", "Seconds of a call", ["province"])
RATE = Gauge(
    "tongban_connector_rate_per_s", "Calls a second that we allow ourselves now", ["province"]
)
_SLOWER_AFTER_S, _FASTER_AFTER_S = 1.0, 5.0
"""Since the rate was last changed: calls that are under way together are throttled together."""
_LOOK_S = 1.0
_LEAST_SHARE = 0.01
_AnswerT = TypeVar("_AnswerT")


class Caller:
    """One province's: `concurrency` calls at once, `rate_per_s` begun in a second, or fewer: a
    gateway that throttles us has its rate halved, and gets it back bit by bit.

    Args:
        share: how much of both is this process's, above 0 and up to 1; looked at once a second.
            Processes that share a province's partitions share what the catalogue allows.
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
        # The share is first looked at by the first call: the worker that knows it is made later.
        self._shared, self._looked_at = 1.0, -math.inf
        self._slots = asyncio.Semaphore(concurrency)
        self._allowed = rate_per_s
        self._hold_to(rate_per_s)

    def _take_share(self) -> None:
        """Look at the share, once a second at most."""
        if self._now() - self._looked_at < _LOOK_S:
            return
        self._looked_at = self._now()
        share = min(1.0, max(_LEAST_SHARE, self._share()))
        if share != self._shared:
            self._shared = share
            # Calls under way give their slots back to the old semaphore; with the partitions that
            # the share follows, their records are given up.
            self._slots = asyncio.Semaphore(math.ceil(self._all_slots * share))
            self._allowed = self._all_rate * share
            self._hold_to(self._allowed)

    def _hold_to(self, rate: float) -> None:
        # In steps of a tenth of a second, so that a long line does not call all at once.
        step = max(1.0, rate / 10)
        self._limiter = AsyncLimiter(step, step / rate)
        self._rate, self._changed_at = rate, self._now()
        RATE.labels(self._province).set(rate)

    def _throttled(self) -> None:
        if self._now() - self._changed_at > _SLOWER_AFTER_S or self._rate == self._allowed:
            self._hold_to(max(min(1.0, self._allowed), self._rate / 2))

    def _content(self) -> None:
        if self._rate < self._allowed and self._now() - self._changed_at > _FASTER_AFTER_S:
            self._hold_to(min(self._allowed, self._rate * 1.25))

    async def call(
        self, name: str, make: Callable[[], Awaitable[_AnswerT]], *, effect: bool
    ) -> _AnswerT:
        """Make one call when it is its turn, and tell the gate and the metrics how it ended.

        What is raised that no gateway raises says nothing of the gateway.

        Raises:
            GateClosedError: the province must not be called now.
        """
        self._take_share()
        async with self._slots:
            await self._limiter.acquire()
            permit = self._gate.enter(effect=effect)
            result = "abandoned"
            try:
                with SECONDS.labels(self._province).time():
                    answer = await make()
                result = "ok"
                permit.succeeded()
                self._content()
                return answer
            except RetryLaterError as later:
                result = later.cause
                if later.cause == "throttled":
                    self._throttled()
                permit.told(later.cause, later.after_s)
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
