"""Router and connectors killed at every fault point: a province acts once, whatever dies when."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.e2e.chain_kit import Chain, chain_on, until
from tongban_common.domain.status import OutcomeKind
from tongban_devstack.embedded import EmbeddedKafka

WORKER = ("before_handle", "after_handle", "before_commit", "after_commit")
PROTOCOL = [
    *(f"connector.{point}" for point in ("before_send", "after_send")),
    *(f"connector.{point}" for point in ("before_look_up", "after_look_up")),
    *(f"connector.{point}" for point in ("before_fetch", "after_fetch")),
]
"""Around every await in which a protocol's own code runs."""
CONNECTOR = [
    *PROTOCOL,
    *(f"connector.{point}" for point in ("before_store_document", "after_store_document")),
    *(f"connector.{point}" for point in ("before_report", "after_report")),
    *(f"worker.{point}" for point in WORKER),
]
"""Around every await between reading an event and committing it."""
POINTS = {
    "router": [
        f"router.{point}" for point in ("before_table", "after_table", "before_emit", "after_emit")
    ],
    "rest": CONNECTOR,
    "callbacks": [
        *(f"callback.{point}" for point in ("before_publish", "after_publish")),
        *(f"connector.{point}" for point in ("after_send", "before_report", "after_report")),
    ],
    "receipts": PROTOCOL,
    "soap": PROTOCOL,
}
MANNERS = ("110000", "120000", "130000")
"""One of each manner: honours our key, refuses a repeat, would act twice."""
RECEIPTS = ("140000", "150000", "210000")
"""The same among those that answer with a receipt and call back."""
SOAP = ("220000", "230000", "310000")
"""The same among those that speak SOAP."""
MAKE_DOCUMENTS = ("110000", "210000", "230000")
"""Those of them whose results come with a document of their own."""
SWEEPS = {
    "router": ("router", MANNERS + RECEIPTS + SOAP),
    "rest": ("connectors", MANNERS),
    "callbacks": ("connectors", RECEIPTS),
    "receipts": ("connectors", RECEIPTS),
    "soap": ("connectors", SOAP),
}
"""Which service dies, and whose requests are under way meanwhile."""
AGAIN = [("rest", 2, 0.5), ("callbacks", 5, 0.5), ("receipts", 5, 0.0)]
"""At which passing of each point, and how many answers are cut off: none leaves nothing unclear but
what a dead predecessor left. A combination of each manner of answering; all of them, for router and
SOAP too, take half an hour."""
OPEN_AT_ONCE = 40
"""Requests under way at most, so that a slow machine does not pile up what it cannot finish."""


@pytest.fixture(scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    directory = tmp_path_factory.mktemp("province-kills")
    async with (
        EmbeddedKafka(directory / "kafka") as broker,
        chain_on(broker, directory) as running,
    ):
        yield running


async def die_at(chain: Chain, sweep: str, points: list[str], *, drop: float) -> None:
    """Die at each point in turn under load; every request completes, with one effect each."""
    service, provinces = SWEEPS[sweep]
    for province in provinces:
        await chain.faults(province, drop_after_commit_rate=drop)
    submitted: list[str] = []

    async def feed() -> None:
        key = f"{sweep}-{points[0]}-{len(points)}-{drop}-"
        for number in itertools.count():
            await until(
                lambda: sum(not chain.completed[each] for each in submitted) < OPEN_AT_ONCE,
                "requests to complete",
                600,
            )
            province = provinces[number % len(provinces)]
            submitted.append(await chain.submit(number, province, key=key))
            await asyncio.sleep(0.1)

    feeding = asyncio.create_task(feed())
    try:
        for point in points:
            await chain.kill(service, TONGBAN_FAULTPOINTS=point)
            async with asyncio.timeout(120):
                assert await chain.children[service].wait() == -signal.SIGKILL, point
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        # Also where a point was not reached: a process that still waits to die there would fail
        # every test that follows.
        await chain.kill(service)
    assert feeding.cancelled(), feeding.exception()
    async with chain.http.delete(f"{chain.gateways}/faults") as reply:
        assert reply.status < 300
    await until(
        lambda: all(chain.completed[request] for request in submitted), "all completed", 120
    )
    ledger = await chain.ledger()
    effects = Counter(ledger[request]["submit"] for request in submitted)
    assert effects == Counter({1: len(submitted)})
    mine = set(submitted)
    for outcome in chain.outcomes:  # a result without the province's document would be a loss
        if outcome.request_id in mine and outcome.outcome is OutcomeKind.COMPLETED:
            assert len(outcome.documents) == (outcome.province in MAKE_DOCUMENTS)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sweep", POINTS)
async def test_processes_killed_once_at_every_point_act_once(chain: Chain, sweep: str) -> None:
    # A cut answer now and then, so that there is something to look up.
    await die_at(chain, sweep, POINTS[sweep], drop=0.2)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(("sweep", "count", "drop"), AGAIN)
async def test_connector_killed_again_and_again_acts_once(
    chain: Chain, sweep: str, drop: float, count: int, part: int
) -> None:
    points = [f"{point}:{count}" for point in POINTS[sweep][part::2]]
    if not drop:  # nothing is unclear but what a dead predecessor left
        points = [point for point in points if "look_up" not in point]
    await die_at(chain, sweep, points, drop=drop)
