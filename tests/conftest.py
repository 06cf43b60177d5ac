"""The real broker and the real store that the tests run on, once a session."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from hypothesis import settings

from tests.containers_kit import (
    KAFKA_IMAGE,
    MONGO_IMAGE,
    kafka_container,
    require_image,
    store_container,
)
from tongban_common.store import Store
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedStore
from tongban_kafka import prepare_aiokafka

prepare_aiokafka()

# How long an example takes says more about the machine than about the code.
settings.register_profile("tongban", deadline=None)
settings.load_profile("tongban")

# The processes that tests start, and settings made here, accept the public default secrets.
os.environ["TONGBAN_ENVIRONMENT"] = "development"

# Every connection that a stopped broker refuses is an error to aiokafka, and an event to the tests.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo the set-up of logs by a command that a test runs in this process.

    Later tests would otherwise see only the log events that this command lets through.
    """
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Bootstrap address of an Apache Kafka broker that all tests of the session share.

    Tests use topics and consumer groups with names of their own. A test that breaks the broker
    starts an `EmbeddedKafka` for itself.
    """
    if given := os.environ.get("TONGBAN_KAFKA"):
        yield given
        return
    if os.environ.get(KAFKA_IMAGE):
        with kafka_container(require_image(KAFKA_IMAGE)) as address:
            await _answers(address)
            yield address
        return
    async with EmbeddedKafka(tmp_path_factory.mktemp("kafka") / "data") as broker:
        yield broker.address


async def _answers(address: str) -> None:
    """Wait until the broker of a container, whose port is open before, answers for groups."""
    deadline = time.monotonic() + 60
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        try:
            await admin.start()
            await admin.list_consumer_group_offsets("readiness")
        except KafkaError as error:
            assert time.monotonic() < deadline, f"{address}: {error!r}"
            await asyncio.sleep(0.2)
        else:
            return
        finally:
            await admin.close()


@pytest.fixture(scope="session")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a MongoDB (or the embedded store) that all tests of the session share.

    Tests use database names of their own.
    """
    if given := os.environ.get("TONGBAN_STORE"):
        yield given
        return
    if os.environ.get(MONGO_IMAGE):
        with store_container(require_image(MONGO_IMAGE)) as url:
            yield url
        return
    async with EmbeddedStore(tmp_path_factory.mktemp("store") / "data") as server:
        yield server.address


@pytest.fixture
async def database(store: str) -> AsyncIterator[Store]:
    """An empty database of the shared store."""
    opened = Store(store, f"test_{uuid.uuid4().hex[:10]}")
    yield opened
    opened.close()
