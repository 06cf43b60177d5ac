"""Asks a broker what the account of a client may do.

Metadata answers since version 8 (KIP-430) hold the allowed operations of each topic. aiokafka 0.14
knows versions up to 5, so the request is defined here. For groups a heartbeat of a member that does
not exist is sent: every broker checks Read on the group before it looks for the member, whereas the
operations of a group are known to its coordinator alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

_NO_MEMBER = "permission-check"


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _MetadataRequest8(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _AllowedOperationsRequest(Request[_MetadataRequest8]):  # type: ignore[misc]
    """Requests the metadata of topics, with the operations that this client may do on them."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)


class TopicOperations(NamedTuple):
    """Describes what an account may do on one topic."""

    exists: bool
    """False also where the account may not describe the topic."""
    may_describe: bool
    may_read: bool
    may_write: bool


_READ, _WRITE = 1 << 3, 1 << 4
"""Bits of a set of operations: numbers of org.apache.kafka.common.acl.AclOperation."""


async def allowed_on_topics(
    client: AIOKafkaClient, topics: Collection[str]
) -> dict[str, TopicOperations]:
    """Return what this client's account may do on each topic, by one request."""
    response = await _ask(client, _AllowedOperationsRequest(topics))
    found = {}
    for code, topic, _internal, _partitions, operations in response.topics:
        found[topic] = TopicOperations(
            exists=code == 0,
            may_describe=code != TopicAuthorizationFailedError.errno,
            may_read=bool(operations & _READ),
            may_write=bool(operations & _WRITE),
        )
    return found


async def may_join(client: AIOKafkaClient, group: str) -> bool:
    """Return True if this client's account may read with this consumer group."""
    response = await _ask(client, HeartbeatRequest(group, -1, _NO_MEMBER))
    return bool(response.error_code != GroupAuthorizationFailedError.errno)


async def _ask(client: AIOKafkaClient, request: Any) -> Any:
    node = client.get_random_node()
    return await client.send(node, request)
