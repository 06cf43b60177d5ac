"""Notify under SIGKILL: every message once, wherever it died."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.integration.outside_kit import Outside, completed, fresh_id, outside, status, until
from tongban_common import topics
from tongban_common.domain.status import Status
from tongban_common.events.models import NotificationReported

POINTS = [
    "notify.before_claim",
    "notify.after_claim",
    "notify.before_sending",
    "notify.after_sending",
    "notify.after_send",
    "notify.before_look_up",
    "notify.after_look_up",
    "notify.before_not_sent",
    "notify.after_not_sent",
    "notify.before_over",
    "notify.after_over",
    "notify.before_report",
    "notify.after_report",
    "worker.after_handle",
    "worker.before_commit",
    "worker.after_commit",
]
MOST_WAITING = 60
"""Messages that are due before others become so: enough for a process to find work whenever it
starts, few enough to be sent soon after the last kill by a provider that takes three a second."""
ENDINGS = (Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED, Status.FAILED)


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    quick = {"TONGBAN_SMS_TIMEOUT_S": "1", "TONGBAN_SMS_SETTLE_S": "3"}
    async with outside(tmp_path_factory.mktemp("notify-kills"), store, **quick) as place:
        yield place


class Applicants:
    """Things become of their requests, as long as it takes."""

    def __init__(self, place: Outside) -> None:
        self._place = place
        self.expected: Counter[tuple[str, str]] = Counter()

    async def come(self, *, every: float) -> None:
        while True:
            if self.expected.total() - self._reported().total() < MOST_WAITING:
                await self.one()
            await asyncio.sleep(every)

    async def one(self) -> None:
        request_id = fresh_id()
        if len(self.expected) % 3:
            self.expected[request_id, "completed"] = 1
            await self._place.say(topics.REQUESTS_COMPLETED, completed(request_id))
            return
        ending = random.choice(ENDINGS)
        self.expected[request_id, ending.value] = 1
        await self._place.say(topics.REQUESTS_STATUS, status(request_id, ending))

    async def all_told(self, within: float) -> None:
        async def done() -> bool:
            return self._reported() == self.expected

        try:
            await until(done, "all reports", within)
        finally:
            sent = await self._sent()
            expected = self.expected
            assert sent == expected, f"too many {sent - expected}, missing {expected - sent}"

    def _reported(self) -> Counter[tuple[str, str]]:
        """Of those with `sent`; one for each event id."""
        return Counter(
            (report.request_id, report.template)
            for report in self._place.said(NotificationReported)
            if report.status == "sent" and (report.request_id, report.template) in self.expected
        )

    async def _sent(self) -> Counter[tuple[str, str]]:
        """At all providers together."""
        sent: Counter[tuple[str, str]] = Counter()
        for row in await self._place.messages():
            if (key := (row["request_id"], row["template"])) in self.expected:
                sent[key] += row["count"]
        return sent


async def die_at(place: Outside, points: Sequence[str], *, providers: str, lossy: float) -> None:
    for provider in ("aurora", "borealis"):
        await place.fault(f"sms/{provider}", drop_after_accept_rate=lossy)
    # Some messages are clearly not taken: the first provider allows few a second.
    first = providers.partition(",")[0]
    await place.fault(f"sms/{first}", drop_after_accept_rate=lossy, rate_per_s=3)
    applicants = Applicants(place)
    coming = asyncio.create_task(applicants.come(every=0.1))
    try:
        async for _ in place.dying_at("notify", points, TONGBAN_SMS_PROVIDERS=providers):
            pass
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        assert coming.cancelled(), coming.exception()
    await place.mend()
    await applicants.all_told(150)
    await place.ready(place.running[-1])  # it may have had nothing to do, and only just begun
    assert await place.end(place.running[-1]) == 0


@pytest.mark.timeout(180)
@pytest.mark.long
async def test_notify_killed_once_at_every_point_sends_every_message_once(place: Outside) -> None:
    """The first provider would send a repeated reference twice."""
    await die_at(place, POINTS, providers="borealis,aurora", lossy=0)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("providers", "lossy", "count"), [("borealis,aurora", 0.3, 2), ("aurora,borealis", 0, 7)]
)
async def test_notify_killed_again_and_again_sends_every_message_once(
    place: Outside, providers: str, lossy: float, count: int
) -> None:
    points = [f"{point}:{count}" for point in POINTS]
    await die_at(place, points, providers=providers, lossy=lossy)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_two_replicas_killed_at_random_moments_send_every_message_once(
    place: Outside,
) -> None:
    """Providers go down, err, throttle and lose answers meanwhile."""
    applicants = Applicants(place)
    coming = asyncio.create_task(applicants.come(every=0.03))
    replicas = ["notify-a", "notify-b"]
    running = {name: place.start("notify", instance=name) for name in replicas}
    troubles: list[dict[str, float | bool]] = [
        {},
        {},
        {"down": True},
        {"error_rate": 0.3, "drop_after_accept_rate": 0.3},
        {"latency_ms": 600},
        {"rate_per_s": 5},
    ]
    try:
        for _ in range(25):
            await asyncio.sleep(random.uniform(0.5, 4))
            provider = random.choice(("aurora", "borealis"))
            await place.fault(f"sms/{provider}", **random.choice(troubles))
            name = random.choice(replicas)
            await place.kill(running[name])
            running[name] = place.start("notify", instance=name)
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        assert coming.cancelled(), coming.exception()
    await place.mend()
    await applicants.all_told(120)
    for child in running.values():
        await place.ready(child)
        assert await place.end(child) == 0
