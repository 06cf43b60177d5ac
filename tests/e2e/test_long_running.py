"""A receipt given on Monday is followed up on Friday, whatever died in between.

Four days pass in a minute; nobody keeps anything but Kafka and the province.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.chain_kit import KEYS, Chain, chain_on, request_id_of, until
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.gateways.applications import plan
from tongban_devstack.gateways.provinces import load_provinces

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=CHINA)
SPEED = 5_000
POLLED, CALLED = "140000", "210000"
"""Both answer with a receipt and keep no closing hours; the first one's callbacks are lost."""


def key_number(province: str, key: str) -> int:
    """The number of a key whose request its province completes after four days and more."""
    for number in count():
        request_id = request_id_of(f"{key}key-{number:06d}")
        made = plan("realistic", load_provinces()[province], request_id, "handle", MONDAY)
        if made.decided_at > MONDAY + timedelta(days=4) and not (
            made.rejection or made.supplement_at
        ):
            return number
    raise AssertionError


async def die(chain: Chain, *names: str) -> None:
    """SIGKILL to all of them at once; the router finds an empty disk."""
    for name in names:
        chain.children[name].send_signal(signal.SIGKILL)
    for name in names:
        await chain.children[name].wait()
    if "router" in names:
        shutil.rmtree(chain.directory / "router")
    for name in names:
        chain.start(name)
    await asyncio.gather(*(chain.ready(name) for name in names))


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_receipt_of_monday_is_followed_up_on_friday(tmp_path: Path) -> None:
    clock = BusinessClock(MONDAY, time.time(), SPEED)
    env = {"TONGBAN_CLOCK": clock.describe(), "TONGBAN_PROFILE": "realistic"}
    async with (
        EmbeddedKafka(tmp_path / "kafka") as broker,
        chain_on(broker, tmp_path, **env) as chain,
    ):
        await chain.faults(POLLED, lose_callbacks_rate=1)
        requests = {
            province: await chain.submit(
                key_number(province, province), province, key=province, kind="handle", days=90
            )
            for province in (POLLED, CALLED)
        }
        submitted_at = chain.clock.now()
        await until(
            lambda: all(chain.status(request) == "accepted" for request in requests.values()),
            "the receipts",
        )
        await die(chain, "router", "connectors", "gateways")
        assert not chain.completed, "it is not Friday yet"
        await until(lambda: chain.clock.now() > submitted_at + timedelta(days=2.5), "Wednesday")
        await die(chain, "connectors")
        await until(
            lambda: all(chain.completed[request] for request in requests.values()),
            "both to be completed",
            seconds=150,
        )
        ledger = await chain.ledger()
        for province, request in requests.items():
            entries = chain.statuses[request]
            assert [entries[seq].status.value for seq in sorted(entries)] == [
                "submitted", "routed", "accepted", "completed",
            ]  # fmt: skip
            assert entries[4].at - entries[3].at > timedelta(days=4)
            assert ledger[request] == {"submit": 1}
            said = [each for each in chain.outcomes if each.request_id == request]
            sealed = [each.sealed for each in said if each.sealed is not None]
            assert len({KEYS.open(request, each, "receipt") for each in sealed}) == 1
            assert any(
                (each.call, each.outcome) == (CallKind.POLL, OutcomeKind.COMPLETED) for each in said
            )
            assert (chain.notices[request] > 0) == (province == CALLED)
