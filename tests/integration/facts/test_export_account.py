"""The account `facts` of the registry suffices for an export, at a broker that authorises."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.facts_events import write_requests
from tests.integration.facts.facts_kit import Exporting, population
from tests.integration.kafka.accounts_kit import STACK, authorising
from tongban_common.topics import FACTS, TOPICS
from tongban_facts.source import client_settings
from tongban_kafka.admin import apply_topics

pytestmark = pytest.mark.long

REQUESTS = 60


async def test_account_without_permissions_on_groups_exports_over_sasl_ssl(tmp_path: Path) -> None:
    async with authorising(tmp_path) as kafka:
        stack = kafka.cluster(STACK)
        await apply_topics(stack, [topic for topic in TOPICS.values() if FACTS in topic.readers])
        await asyncio.to_thread(
            write_requests,
            kafka.broker.address,
            population(days=1),
            range(REQUESTS),
            settings=client_settings(stack),
        )
        own = kafka.environment(FACTS)
        exporting = Exporting(kafka.broker.address, tmp_path / "facts", own)
        code, output = await exporting.run()
        assert code == 0, output
        assert exporting.table("requests").height == REQUESTS
        stranger = Exporting(
            kafka.broker.address, tmp_path / "denied", kafka.environment("printing")
        )
        code, output = await stranger.run()
        assert (code, "there is no topic" in output) == (69, True), output
