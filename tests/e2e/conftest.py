"""Provides the fixtures that the tests of whole chains share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.chain_kit import Chain, chain_on
from tongban_devstack.embedded import EmbeddedKafka


@pytest.fixture(scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    """Gateways, router and connectors between a broker and a store of their own."""
    directory = tmp_path_factory.mktemp("chain")
    async with (
        EmbeddedKafka(directory / "kafka") as broker,
        chain_on(broker, directory) as running,
    ):
        yield running
