"""A broker and a store in containers, by testcontainers, where a Docker daemon answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import PortWaitStrategy

from tongban_devstack.ports import free_port

# The helper container that removes abandoned ones is an image from a registry.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

KAFKA_IMAGE, MONGO_IMAGE = "TONGBAN_TEST_KAFKA_IMAGE", "TONGBAN_TEST_MONGO_IMAGE"
_STARTED_WITHIN_S = 90
_KAFKA = {
    "CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qk",
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
    # As the embedded broker: one node, quick groups, topics from the registry alone.
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_MIN_INSYNC_REPLICAS": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
}


def require_image(variable: str) -> str:
    """Return the image that a variable names; skip the test where it cannot be run.

    A test does not wait for a download: the image is pulled or built before.
    """
    image = os.environ[variable]
    try:
        docker.from_env(timeout=5).images.get(image)
    except ImageNotFound:
        pytest.skip(f"the image {image} that {variable} names is not here: build or pull it")
    except (DockerException, OSError) as error:
        pytest.skip(f"{variable} is set, but no Docker daemon answers: {type(error).__name__}")
    return image


@contextmanager
def kafka_container(image: str) -> Iterator[str]:
    """Run a broker from an image that takes the variables of apache/kafka; yield its address."""
    port = free_port()  # chosen before, because the broker has to advertise it
    container = DockerContainer(image).with_bind_ports(9092, port)
    for name, value in _KAFKA.items():
        container = container.with_env(name, value)
    container = container.with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{port}")
    with container.waiting_for(PortWaitStrategy(9092).with_startup_timeout(_STARTED_WITHIN_S)):
        yield f"127.0.0.1:{port}"


@contextmanager
def store_container(image: str) -> Iterator[str]:
    """Run a store from an image with a `mongod`; yield its URL, which asks for one server."""
    port = free_port()
    container = DockerContainer(image).with_bind_ports(27017, port)
    with container.waiting_for(PortWaitStrategy(27017).with_startup_timeout(_STARTED_WITHIN_S)):
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
