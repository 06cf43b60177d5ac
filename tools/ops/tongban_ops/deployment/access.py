"""Derive the broker's accounts and their permissions from the registry of topics.

Every account may do what its role does in the registry and nothing else. The operations are
Kafka's (KIP-11 and later); Read and Write imply Describe. An idempotent producer needs no
permission beyond Write (KIP-679), a transactional one Write on its transactional id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tongban_common import topics
from tongban_common.kafka_access import needs_of
from tongban_common.topics import TOPICS, Topic
from tongban_kafka import NeededPermissions

TOPIC_ADMIN = "topic-admin"
"""Account of `tongban topics apply`. Where Strimzi's operator makes the topics nobody needs it."""
ANALYSTS_GROUPS = "analysts-"
"""Prefix of the consumer groups of analysts, which are none of the system's."""
REGISTER_TRANSACTIONS = "tongban-register-"
"""Prefix of the transactional ids under which operators change registers."""


class Resource(StrEnum):
    """A resource type of Kafka's authorizer, in the spelling of Strimzi's KafkaUser."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactionalId"


class Pattern(StrEnum):
    """The way in which a permission names its resources."""

    LITERAL = "literal"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One permission of an account; `operations` are names of Kafka's, sorted."""

    resource: Resource
    name: str
    operations: tuple[str, ...]
    pattern: Pattern = Pattern.LITERAL


@dataclass(frozen=True, slots=True)
class Account:
    """A user at the broker, for one service, for operators or for analysts."""

    name: str
    acls: tuple[Acl, ...]


def accounts(provinces: Iterable[str] = ()) -> list[Account]:
    """Return every account, sorted by name.

    Args:
        provinces: those whose connectors run as processes of their own and get an account each,
            called `connectors-<code>`. The account `connectors` serves all provinces.
    """
    made = [
        _account(role, {role})
        for role in (
            topics.INTAKE,
            topics.ROUTER,
            topics.PRINTING,
            topics.NOTIFY,
            topics.FACTS,
        )
    ]
    every = {topics.connectors_of(province) for province in topics.PROVINCES}
    made.append(_account(topics.CONNECTORS, {topics.CONNECTORS, *every}))
    made.extend(
        _account(
            topics.connector_group(province),
            {topics.CONNECTORS, topics.connectors_of(province)},
        )
        for province in provinces
    )
    made += [_analysts(), _operators(), _topic_admin()]
    return sorted(made, key=lambda account: account.name)


def _account(name: str, roles: set[str]) -> Account:
    needs = needs_of(*roles)
    acls = [*_of_topics(needs)]
    acls += [Acl(Resource.GROUP, group, ("Read",)) for group in needs.groups]
    return Account(name, tuple(sorted(acls)))


def _of_topics(needs: NeededPermissions) -> Iterator[Acl]:
    for name in needs.topics:
        operations = {"Read"} if name in needs.reads else set()
        if name in needs.writes:
            operations.add("Write")
        yield _on_topic(TOPICS[name], *operations)


def _on_topic(topic: Topic, *operations: str) -> Acl:
    return Acl(Resource.TOPIC, topic.name, tuple(sorted({*operations, "Describe"})))


def _analysts() -> Account:
    """Return the account of analysts. Most clients join a group, and those that are built on
    librdkafka demand the name of one."""
    account = _account(topics.ANALYSTS, {topics.ANALYSTS})
    own = Acl(Resource.GROUP, ANALYSTS_GROUPS, ("Describe", "Read"), Pattern.PREFIX)
    return Account(account.name, tuple(sorted([*account.acls, own])))


def _operators() -> Account:
    """Return the account of operators, who also see how far each group has come."""
    account = _account(topics.OPERATORS, {topics.OPERATORS})
    seen = [Acl(Resource.GROUP, group, ("Describe",)) for group in topics.GROUPS]
    registers = Acl(
        Resource.TRANSACTIONAL_ID, REGISTER_TRANSACTIONS, ("Describe", "Write"), Pattern.PREFIX
    )
    return Account(account.name, tuple(sorted([*account.acls, *seen, registers])))


def _topic_admin() -> Account:
    operations = ("Alter", "AlterConfigs", "Create", "DescribeConfigs")
    return Account(
        TOPIC_ADMIN, tuple(sorted(_on_topic(each, *operations) for each in TOPICS.values()))
    )
