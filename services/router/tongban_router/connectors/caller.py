"""Calling a gateway: so many at once, so many a second, and only while the gate lets us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Histogram

from tongban_router.connectors.gate import Gate
from tongban_router.connectors.gateway import Down, Later, Refused, Unclear

CALLS = Counter("connector_calls_total", "Calls to gateways", ["province", "call", "result"])
SECONDS = Histogram("connector_call_seconds", "Seconds of a call", ["province"])
_AnswerT = TypeVar("_AnswerT")


class Caller:
    """One province's: `concurrency` calls at once, `rate_per_s` begun in a second."""

    def __init__(self, province: str, gate: Gate, *, concurrency: int, rate_per_s: float) -> None:
        self._province = province
        self._gate = gate
        self._slots = asyncio.Semaphore(concurrency)
        # In steps of a tenth of a second, so that a long line does not call all at once.
        step = max(1.0, rate_per_s / 10)
        self._limiter = AsyncLimiter(step, step / rate_per_s)

    async def call(
        self, name: str, make: Callable[[], Awaitable[_AnswerT]], *, effect: bool
    ) -> _AnswerT:
        """Make one call when it is its turn, and tell the gate and the metrics how it ended.

        What is raised that no gateway raises says nothing of the gateway.

        Raises:
            Shut: the province must not be called now.
        """
        async with self._slots:
            await self._limiter.acquire()
            permit = self._gate.enter(effect=effect)
            result = "abandoned"
            try:
                with SECONDS.labels(self._province).time():
                    answer = await make()
                result = "ok"
                permit.succeeded()
                return answer
            except Later as later:
                result = later.cause
                permit.told(later.cause, later.after_s)
                raise
            except Refused:
                result = "refused"
                permit.succeeded()
                raise
            except (Down, Unclear) as error:
                result = type(error).__name__.lower()
                permit.failed()
                raise
            finally:
                if result == "abandoned":
                    permit.abandoned()
                CALLS.labels(self._province, name, result).inc()
