"""Grant accounts permissions on a broker that authorises, and take them away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tongban_kafka import client_options
from tongban_ops.deployment.access import Account, Acl, Pattern, Resource

# The numbers are those of Kafka's protocol (org.apache.kafka.common.{resource,acl}).
_RESOURCES = {Resource.TOPIC: 2, Resource.GROUP: 3, Resource.TRANSACTIONAL_ID: 5}
_PATTERNS = {Pattern.LITERAL: 3, Pattern.PREFIX: 4}
_OPERATIONS = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}
_ALLOW = 3


class CreateAcls(CreateAclsRequest):  # type: ignore[misc]  # aiokafka has no types
    """Creates many permissions at once; aiokafka's request creates a single one."""

    def __init__(self, creations: list[tuple[Any, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._creations)


class _DeleteAcls(DeleteAclsRequest):  # type: ignore[misc]  # aiokafka has no types
    """Deletes many permissions at once; aiokafka's request deletes a single one."""

    def __init__(self, filters: list[tuple[Any, ...]]) -> None:
        self._filters = filters

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._filters)


async def grant(address: str, accounts: Iterable[Account]) -> None:
    """Create the permissions of all accounts.

    Args:
        address: HOST:PORT at which the client may alter the cluster.
    """
    response = await _send(address, CreateAcls(_bindings(accounts)))
    for code, message in response.creation_responses:
        if code:
            raise for_code(code)(message)


async def revoke(address: str, accounts: Iterable[Account]) -> None:
    """Delete these permissions of the accounts, which keep their others."""
    response = await _send(address, _DeleteAcls(_bindings(accounts)))
    for code, message, _ in response.filter_responses:
        if code:
            raise for_code(code)(message)


async def _send(address: str, request: Any) -> Any:
    admin = AIOKafkaAdminClient(**client_options(address))
    try:
        await admin.start()
        return await admin._send_request(request)
    finally:
        await admin.close()


def _bindings(accounts: Iterable[Account]) -> list[tuple[Any, ...]]:
    return [
        _binding(account.name, acl, operation)
        for account in accounts
        for acl in account.acls
        for operation in acl.operations
    ]


def _binding(user: str, acl: Acl, operation: str) -> tuple[Any, ...]:
    return (
        _RESOURCES[acl.resource],
        acl.name,
        _PATTERNS[acl.pattern],
        f"User:{user}",
        "*",
        _OPERATIONS[operation],
        _ALLOW,
    )
