"""Says in an operator's words what a broker does not permit: account, operation and resource."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from tongban_kafka.security import KafkaAddress, KafkaCluster

NAMED = 3
"""Missing permissions that a text names; the log line has all of them."""
LOOK_AT = "docs/kafka-security.md"
"""Says which permissions each account needs, and how to grant them."""


class Permission(NamedTuple):
    """Names an operation on a resource, in Kafka's words."""

    operation: str
    resource: str
    """`topic`, `group` or `transactional-id`, as in the options of `kafka-acls`."""
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"

    def grant(self, account: str) -> str:
        """Return the command of Kafka's that grants it."""
        return (
            f"kafka-acls --add --allow-principal User:{account} "
            f"--operation {self.operation} --{self.resource} {self.name}"
        )


def account_of(kafka: KafkaAddress) -> str:
    """Return the name of the account at the broker, as far as this side knows it."""
    security = kafka.security if isinstance(kafka, KafkaCluster) else None
    if security is None:
        return "ANONYMOUS"
    if security.username:
        return security.username
    if security.certificate_file is not None:
        return f"of the certificate {security.certificate_file}"
    return "ANONYMOUS"


def describe_missing(account: str, missing: Collection[Permission]) -> str:
    """Return one line that names the account and what it lacks."""
    named = ", ".join(str(each) for each in list(missing)[:NAMED])
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"the broker does not permit the account {account}: {named}{more}"


def describe(kafka: KafkaAddress, error: BaseException, operation: str) -> str:
    """Return one line about a denial that aiokafka has raised (`is_denial`).

    Args:
        operation: what the client did; aiokafka's error names the resource alone.
    """
    account, name = account_of(kafka), _resource_of(error)
    if isinstance(error, TopicAuthorizationFailedError):
        return describe_missing(account, [Permission(operation, "topic", name)])
    if isinstance(error, GroupAuthorizationFailedError):
        return describe_missing(account, [Permission("Read", "group", name)])
    if isinstance(error, TransactionalIdAuthorizationFailed):
        return describe_missing(account, [Permission("Write", "transactional-id", name)])
    return f"the broker does not permit the account {account}: {name or type(error).__name__}"


def _resource_of(error: BaseException) -> str:
    found = error.args[0] if error.args else ""
    names = [found] if isinstance(found, str) else sorted(map(str, found))
    return ", ".join(names)
