"""Each account may do at the broker what the registry says, and nothing else: every account against
every topic, group and transactional id, by plain requests over one connection for each account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol import admin
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.integration.kafka.accounts_kit import STACK, Authorising, authorising
from tongban_common import topics
from tongban_common.topics import GROUPS, TOPICS
from tongban_devstack.embedded.permissions import CreateAcls
from tongban_kafka import apply_topics, client_options
from tongban_ops.deployment.access import REGISTER_TRANSACTIONS, TOPIC_ADMIN

pytestmark = pytest.mark.long

DENIED = {
    error.errno
    for error in (
        ClusterAuthorizationFailedError,
        GroupAuthorizationFailedError,
        TopicAuthorizationFailedError,
        TransactionalIdAuthorizationFailed,
    )
}
NAMES = sorted(TOPICS)
ASKED_GROUPS = {**GROUPS, "analysts-waiting-times": topics.ANALYSTS}
"""Groups of the system, and one as analysts name theirs."""
TRANSACTIONS = (f"{REGISTER_TRANSACTIONS}control.kiosks", "another-transaction")


@pytest.fixture(scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authorising]:
    async with authorising(tmp_path_factory.mktemp("matrix")) as found:
        await apply_topics(found.cluster(STACK), TOPICS.values())
        yield found


@asynccontextmanager
async def connected(kafka: Authorising, account: str) -> AsyncIterator[Any]:
    client = AIOKafkaClient(**client_options(kafka.cluster(account)), client_id="matrix")
    await client.bootstrap()
    try:

        async def ask(request: Any) -> Any:
            return await client.send(client.get_random_node(), request)

        yield ask
    finally:
        await client.close()


def roles_of(account: str) -> set[str]:
    """Return what the registry calls the account; written down here once more, and not taken from
    `access.py`, which is what is tested."""
    if account == topics.CONNECTORS:
        return {account, *map(topics.connectors_of, topics.PROVINCES)}
    if account.startswith("connectors-"):
        return {topics.CONNECTORS, topics.connectors_of(account.removeprefix("connectors-"))}
    return {account}


async def readable(ask: Any) -> set[str]:
    response = await ask(
        FetchRequest(1, 0, 1_000_000, 0, [(name, [(0, 0, 100)]) for name in NAMES])
    )
    return {
        topic
        for topic, partitions in response.topics
        for _, code, *_ in partitions
        if _allowed(code)
    }


async def writable(ask: Any) -> set[str]:
    response = await ask(
        ProduceRequest(
            transactional_id=None,
            required_acks=1,
            timeout=10_000,
            topics=[(name, [(0, _batch())]) for name in NAMES],
        )
    )
    return {
        topic
        for topic, partitions in response.topics
        for _, code, *_ in partitions
        if _allowed(code)
    }


def _batch() -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 16_384)
    builder.append(0, None, b"matrix", b"{}", [])
    return bytes(builder.build())


def _allowed(code: int) -> bool:
    """Anything but a denial: the broker authorises before it looks at the rest of a request."""
    return code not in DENIED


async def joinable(ask: Any) -> set[str]:
    return {
        group
        for group in ASKED_GROUPS
        if _allowed((await ask(HeartbeatRequest(group, -1, "matrix"))).error_code)
    }


async def describable_groups(ask: Any) -> set[str]:
    found = set()
    for group in ASKED_GROUPS:
        response = await ask(OffsetFetchRequest(group, None))
        if _allowed(response.error_code):
            found.add(group)
    return found


async def transactions(ask: Any) -> set[str]:
    return {
        name
        for name in TRANSACTIONS
        if _allowed((await ask(InitProducerIdRequest(name, 1000))).error_code)
    }


async def test_each_account_does_what_the_registry_says_and_nothing_else(
    kafka: Authorising,
) -> None:
    wrong: list[tuple[str, str, Iterable[str]]] = []
    for account in kafka.accounts:
        roles = roles_of(account)
        reads = {name for name in NAMES if roles & set(TOPICS[name].readers)}
        writes = {
            name for name in NAMES if roles & {TOPICS[name].owner, *TOPICS[name].also_written_by}
        }
        groups = {group for group, role in ASKED_GROUPS.items() if role in roles}
        described = set(GROUPS) if account == topics.OPERATORS else groups
        owned = {TRANSACTIONS[0]} if account == topics.OPERATORS else set()
        async with connected(kafka, account) as ask:
            for what, found, wanted in (
                ("reads", await readable(ask), reads),
                ("writes", await writable(ask), writes),
                ("joins", await joinable(ask), groups),
                ("describes group", await describable_groups(ask), described),
                ("transactions", await transactions(ask), owned),
            ):
                if found != wanted:
                    wrong.append((account, what, sorted(found ^ wanted)))
            idempotent = (await ask(InitProducerIdRequest(None, 1000))).error_code
            if _allowed(idempotent) != bool(writes):
                wrong.append((account, "idempotence", [for_code(idempotent).__name__]))
    assert not wrong


async def test_no_account_changes_topics_permissions_or_groups(kafka: Authorising) -> None:
    """The topic administrator creates and changes topics of the registry, and deletes none."""
    own = topics.REQUESTS_SUBMITTED
    wrong: list[tuple[str, str, str]] = []
    for account in kafka.accounts:
        is_admin = account == TOPIC_ADMIN
        async with connected(kafka, account) as ask:
            for what, request, may in (
                ("create", _creation("matrix.other"), False),
                ("create its own", _creation(own), is_admin),
                ("delete", admin.DeleteTopicsRequest([own], 1000), False),
                ("grow", admin.CreatePartitionsRequest([(own, (13, None))], 1000, True), is_admin),
                ("configure", admin.AlterConfigsRequest([(2, own, [])], True), is_admin),
                ("permissions", CreateAcls([_acl(account)]), False),
                ("see permissions", admin.DescribeAclsRequest(2, None, 1, None, None, 2, 1), False),
                ("delete group", admin.DeleteGroupsRequest([topics.ROUTER_APP]), False),
                ("delete records", admin.DeleteRecordsRequest([(own, [(0, 1)])], 1000), False),
            ):
                codes = set(_codes(await ask(request)))
                if (not codes & DENIED) != may:
                    names = [for_code(code).__name__ for code in codes]
                    wrong.append((account, what, ",".join(names)))
    assert not wrong


def _creation(name: str) -> Any:
    return admin.CreateTopicsRequest([(name, 1, 1, [], [])], 1000, True)


def _acl(account: str) -> tuple[Any, ...]:
    """Everything on every topic, for itself."""
    return (2, "*", 3, f"User:{account}", "*", 2, 3)


def _codes(found: Any) -> Iterable[int]:
    """All error codes of a response, which each kind keeps elsewhere."""
    for name in ("error_code", "topic_error_codes", "topic_errors", "resources",
                 "creation_responses", "results", "topics"):  # fmt: skip
        value = getattr(found, name, None)
        if isinstance(value, int):
            yield value
        elif value is not None:
            yield from _numbers(value)


def _numbers(value: Any) -> Iterable[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
