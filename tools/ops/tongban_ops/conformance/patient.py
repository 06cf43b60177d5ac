"""Wrap the connector's gateway class with a rate limit, timing and retries after throttling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiolimiter import AsyncLimiter

from tongban_connectors.domain.gateway import BrokenAnswerError, Gateway, RetryLaterError, Unknown
from tongban_provinces.models import GatewayAnswer, OfferedDocument

T = TypeVar("T")
MOST_WAITS = 20
LONGEST_WAIT_S = 5.0


class Times:
    """Durations of all calls in seconds, by name of the call."""

    def __init__(self) -> None:
        self._by_call: dict[str, list[float]] = {}

    def add(self, call: str, seconds: float) -> None:
        """Record the duration of a call."""
        self._by_call.setdefault(call, []).append(seconds)

    def slowest(self) -> dict[str, float]:
        """Return the longest duration of each call."""
        return {call: max(seconds) for call, seconds in self._by_call.items()}


class PatientGateway:
    """Gateway that trusts what a connector trusts, and repeats a throttled call as a connector
    does."""

    def __init__(self, gateway: Gateway, times: Times, pace: AsyncLimiter) -> None:
        self._gateway = gateway
        self._times = times
        self._pace = pace

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        answer = await self._timed(
            "submission", lambda: self._gateway.submit(application, act_before=act_before)
        )
        return _about(answer, application["request_id"])

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        answer = await self._timed(
            "supplement",
            lambda: self._gateway.supplement(
                request_id, supplement_id, form, act_before=act_before
            ),
        )
        return _about(answer, request_id)

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        answer = await self._timed(
            "withdrawal", lambda: self._gateway.withdraw(request_id, act_before=act_before)
        )
        return _about(answer, request_id)

    async def look_up(self, request_id: str) -> GatewayAnswer | None:
        """Look up as Gateway does; None if the gateway does not know the request."""
        known = await self._timed("look-up", lambda: self._gateway.look_up(request_id))
        return None if known is None or isinstance(known, Unknown) else _about(known, request_id)

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:
        """Fetch as Gateway does. Not timed, since documents have their own time-out."""
        return await self._patient(lambda: self._gateway.fetch(request_id, document, start))

    async def _timed(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        async def once() -> T:
            began = time.monotonic()
            try:
                return await call()
            finally:
                self._times.add(name, time.monotonic() - began)

        return await self._patient(once)

    async def _patient(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call at the allowed rate; repeat a call that was throttled for a short time."""
        for _ in range(MOST_WAITS):
            try:
                async with self._pace:
                    return await call()
            except RetryLaterError as later:
                if later.cause != "throttled" or later.after_s > LONGEST_WAIT_S:
                    raise
                await asyncio.sleep(later.after_s)
        async with self._pace:
            return await call()


def _about(answer: GatewayAnswer, request_id: str) -> GatewayAnswer:
    if answer.request_id != request_id:
        raise BrokenAnswerError("an answer about another request")
    return answer
