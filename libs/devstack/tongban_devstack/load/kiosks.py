"""Submit at a fixed rate without waiting for answers, and read from the topics when requests end.

So a slow system gets the same load as a quick one (an open model).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tongban_common.catalogue.models import Item
from tongban_devstack.load.endings import Endings
from tongban_devstack.load.submissions import example_body
from tongban_devstack.quantiles import quantiles_ms
from tongban_kafka import KafkaAddress

_IN_FLIGHT = 4000
"""Maximum submissions that await their answer; further ones are counted as not made."""


@dataclass(frozen=True, slots=True)
class Target:
    """System under load: intake's base URL, a bearer token for it, and the broker."""

    intake: str
    token: str
    kafka: KafkaAddress


@dataclass(slots=True)
class LoadResult:
    """Result of a run. Times are in seconds from the time at which a submission was due."""

    asked: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """HTTP status or name of an exception -> how often."""
    accepted_after: list[float] = field(default_factory=list)
    finished_after: dict[str, list[float]] = field(default_factory=dict)
    """Province code -> times of its requests to a final state."""
    ended_at: list[float] = field(default_factory=list)
    """`time.monotonic()` of each final state, in order."""
    ended_as: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0

    def finished(self, provinces: Callable[[str], bool] = lambda _: True) -> list[float]:
        """Return the times to a final state over the selected provinces."""
        times = self.finished_after.items()
        return [seconds for code, found in times if provinces(code) for seconds in found]

    def report(self) -> dict[str, Any]:
        """Return the report, in milliseconds."""
        return {
            "asked": self.asked,
            "answers": dict(self.answers),
            "ended_as": dict(self.ended_as),
            "unfinished": self.unfinished,
            "accepted_ms": quantiles_ms(self.accepted_after),
            "finished_ms": quantiles_ms(self.finished()),
        }


class Load:
    """Generates load. An async context manager; `run` may be called repeatedly in it."""

    def __init__(self, target: Target, items: Sequence[Item], *, prints: bool = False) -> None:
        """Submit `items` in turn, shuffled; without `prints` nothing is printed."""
        if not items:
            raise ValueError("no item to submit")
        self._target = target
        self._items = itertools.cycle(random.sample(list(items), len(items)))
        self._prints = prints
        self._due: dict[str, tuple[float, str]] = {}
        """Accepted request -> when it was due to be submitted, province."""
        self._endings = Endings(target.kafka)
        self._over = self._endings.ended
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Load:
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._target.token}"},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        await self._endings.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._endings.__aexit__()
        await self._http.close()

    async def run(
        self,
        *,
        rate: float,
        seconds: float,
        patience_s: float = 30.0,
        report: Callable[[int, int], None] = lambda _asked, _over: None,
    ) -> LoadResult:
        """Submit `rate` per second for `seconds`, then wait up to `patience_s` for the ends.

        Args:
            report: called a few times per second with the numbers of submitted and of ended
                requests.
        """
        self._due.clear()
        self._endings.forget()
        result = LoadResult()
        began = time.monotonic()
        sending: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as tasks:
            while (due := began + result.asked / rate) < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                result.asked += 1
                if len(sending) >= _IN_FLIGHT:
                    result.answers["not made"] += 1
                    continue
                task = tasks.create_task(self._submit(next(self._items), due, result))
                sending.add(task)
                task.add_done_callback(sending.discard)
                if result.asked % max(1, int(rate / 4)) == 0:
                    report(result.asked, len(self._over))
        await self._ends(patience_s, result, report)
        for request_id, (due, province) in self._due.items():
            if (over := self._over.get(request_id)) is None:
                result.unfinished += 1
                continue
            result.finished_after.setdefault(province, []).append(over[0] - due)
            result.ended_at.append(over[0])
            result.ended_as[over[1]] += 1
        result.ended_at.sort()
        return result

    async def _ends(
        self, patience_s: float, result: LoadResult, report: Callable[[int, int], None]
    ) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and not self._due.keys() <= self._over.keys():
            report(result.asked, len(self._over))
            await asyncio.sleep(0.1)
        report(result.asked, len(self._over))

    async def _submit(self, item: Item, due: float, result: LoadResult) -> None:
        body = example_body(item)
        if item.printable:
            body["print"] = self._prints
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            async with self._http.post(
                f"{self._target.intake}/v1/requests", json=body, headers=headers
            ) as reply:
                answer = await reply.json()
                result.answers[str(reply.status)] += 1
                if reply.status == 202:
                    self._due[answer["request_id"]] = (due, item.province)
                    result.accepted_after.append(time.monotonic() - due)
        except (aiohttp.ClientError, TimeoutError) as error:
            result.answers[type(error).__name__] += 1
