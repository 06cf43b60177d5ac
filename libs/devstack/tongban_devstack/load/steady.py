"""Submit at a steady rate while processes are replaced, each request until intake accepts it."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from tongban_common.catalogue.models import Item
from tongban_devstack.load.endings import Endings
from tongban_devstack.load.submissions import example_body
from tongban_kafka import KafkaAddress

_ATTEMPT_S = 5.0
_BETWEEN_ATTEMPTS_S = 0.1
_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which a kiosk submits again."""


@dataclass(frozen=True, slots=True)
class Entrances:
    """Says where the kiosks submit.

    Args:
        intakes: base URLs; each attempt goes to the next one, as behind a load balancer.
        token: a kiosk's bearer token.
        patience_s: seconds after which a submission is given up, and an end no longer waited for.
    """

    intakes: Sequence[str]
    token: str
    kafka: KafkaAddress
    patience_s: float


@dataclass(slots=True)
class Phase:
    """Holds the requests of one part of a run."""

    due: dict[str, float] = field(default_factory=dict)
    """Accepted request -> `time.monotonic()` at which its submission was due."""
    attempts: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    """HTTP status and text of answers that no repetition would change."""
    given_up: int = 0
    """Submissions for which no attempt brought an answer."""
    seconds: float = 0.0


class SteadyKiosks:
    """Submits `rate` requests a second, whatever the answers are. An async context manager.

    A submission is repeated with its key until intake accepts it.
    """

    def __init__(self, entrances: Entrances, items: Sequence[Item], *, rate: float) -> None:
        self._intakes = itertools.cycle(entrances.intakes)
        self._token = entrances.token
        self._patience_s = entrances.patience_s
        self._items = itertools.cycle(random.sample(list(items), len(items)))
        self._rate = rate
        self._endings = Endings(entrances.kafka)
        self.ended = self._endings.ended
        self.printing = self._endings.printing
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> SteadyKiosks:
        await self._endings.__aenter__()
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=_ATTEMPT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._endings.__aexit__()
        await self._http.close()

    async def during(self, work: Awaitable[object] | None = None, *, at_least: int) -> Phase:
        """Submit while `work` runs, and at least so many requests; then wait for their ends.

        Requests that have not ended in time are missing in `ended`.
        """
        phase = Phase()
        began = time.monotonic()
        working = asyncio.ensure_future(work) if work is not None else None
        async with asyncio.TaskGroup() as tasks:
            for number in itertools.count():
                if number >= at_least and (working is None or working.done()):
                    break
                due = began + number / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(self._submit(next(self._items), due, phase))
        phase.seconds = time.monotonic() - began
        if working is not None:
            await working
        deadline = time.monotonic() + self._patience_s
        while not phase.due.keys() <= self.ended.keys() and time.monotonic() < deadline:
            self._endings.check()
            await asyncio.sleep(0.1)
        return phase

    def latency(self, phase: Phase, share: float) -> float:
        """Return the seconds from due to end for that share of the requests that ended."""
        took = sorted(
            self.ended[request_id][0] - due
            for request_id, due in phase.due.items()
            if request_id in self.ended
        )
        return took[min(len(took) - 1, math.ceil(share * len(took)) - 1)]

    def figures(self, phase: Phase) -> dict[str, float]:
        """Return a phase's counts, and its times from kiosk to final status in seconds."""
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}
        times = {name: round(self.latency(phase, share), 2) for name, share in shares.items()}
        counted = {"requests": len(phase.due), "attempts": phase.attempts}
        return {**counted, "seconds": round(phase.seconds, 1), **times}

    async def _submit(self, item: Item, due: float, phase: Phase) -> None:
        body = example_body(item)
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            phase.attempts += 1
            url = f"{next(self._intakes)}/v1/requests"
            # Without an answer it is unclear whether intake has the request: the same key again.
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.post(url, json=body, headers=headers) as reply:
                    if reply.status == 202:
                        phase.due[(await reply.json())["request_id"]] = due
                        return
                    if reply.status not in _AGAIN:
                        phase.refused.append((reply.status, (await reply.text())[:300]))
                        return
            await asyncio.sleep(_BETWEEN_ATTEMPTS_S)
        phase.given_up += 1


async def outside_counts(
    http: aiohttp.ClientSession, url: str, *names: str
) -> Counter[tuple[str, ...]]:
    """Return how often each thing happened outside, by these fields of the simulated ledger."""
    async with http.get(url, timeout=aiohttp.ClientTimeout(total=30)) as reply:
        lines = await reply.json()
    found: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        found[tuple(str(line[name]) for name in names)] += line["count"]
    return found
