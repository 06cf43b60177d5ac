"""The real broker and the real store that the tests run on, once a session."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import pytest
import structlog
from hypothesis import settings

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


@contextmanager
def _kafka_in_docker() -> Iterator[str | None]:
    """The address of a broker in a container, or None where Docker does not answer at once or has
    no image yet: a test does not wait for a download."""
    with suppress(ImportError):
        import docker  # noqa: PLC0415
        from docker.errors import DockerException  # noqa: PLC0415
        from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415

        container = None
        with suppress(DockerException, OSError):
            wanted = KafkaContainer().with_kraft()
            docker.from_env(timeout=2).images.get(wanted.image)
            container = wanted
        if container is not None:
            with container:
                yield container.get_bootstrap_server()
            return
    yield None


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Bootstrap address of an Apache Kafka broker that all tests of the session share.

    Tests use topics and consumer groups with names of their own. A test that breaks the broker
    starts an `EmbeddedKafka` for itself.
    """
    if given := os.environ.get("TONGBAN_KAFKA"):
        yield given
        return
    with _kafka_in_docker() as address:
        if address:
            yield address
            return
        async with EmbeddedKafka(tmp_path_factory.mktemp("kafka") / "data") as broker:
            yield broker.address


@pytest.fixture(scope="session")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a MongoDB (or the embedded store) that all tests of the session share.

    Tests use database names of their own.
    """
    if given := os.environ.get("TONGBAN_STORE"):
        yield given
        return
    async with EmbeddedStore(tmp_path_factory.mktemp("store") / "data") as server:
        yield server.address


@pytest.fixture
async def database(store: str) -> AsyncIterator[Store]:
    """An empty database of the shared store."""
    opened = Store(store, f"test_{uuid.uuid4().hex[:10]}")
    yield opened
    opened.close()
