"""A broker that authorises, with every account of the registry, and the settings of its clients."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tongban_common.topics import PROVINCES
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.embedded.permissions import grant
from tongban_devstack.embedded.security import BrokerSecurity, CertificateAuthority
from tongban_kafka import KafkaCluster, KafkaSecurity
from tongban_ops.deployment.access import Account, Acl, Pattern, accounts

STACK = "devstack"
"""Runs the broker's topics and publishes the catalogue, which a deployment leaves to others."""
AUTHORIZER_LOG = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"
"""Has the broker log every decision of its authorizer, also the allowed ones."""
_DECISION = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ "
    r"on resource = (\w+):\w+:(\S+) for request = (\w+)"
)
Used = Mapping[str, frozenset[tuple[str, str, str]]]
"""Resource type, name and operation of what was decided, in lower case, by account."""


@dataclass(frozen=True)
class Authorising:
    broker: EmbeddedKafka
    authority: CertificateAuthority
    directory: Path
    accounts: Mapping[str, Account]

    def password_file(self, user: str) -> Path:
        return self.directory / f"{user}.password"

    def environment(self, user: str) -> dict[str, str]:
        file = self.password_file(user)
        if not file.exists():
            file.write_text(f"password-of-{user}\n")
        return {
            "TONGBAN_KAFKA": self.broker.address,
            "TONGBAN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TONGBAN_KAFKA_SASL_USERNAME": user,
            "TONGBAN_KAFKA_SASL_PASSWORD_FILE": str(file),
            "TONGBAN_KAFKA_SSL_CA_FILE": str(self.authority.file),
        }

    def cluster(self, user: str) -> KafkaCluster:
        security = KafkaSecurity(
            protocol="SASL_SSL",
            username=user,
            password=SecretStr(f"password-of-{user}"),
            ca_file=self.authority.file,
        )
        return KafkaCluster(self.broker.address, security)


@asynccontextmanager
async def authorising(
    directory: Path,
    *,
    without: Mapping[str, Iterable[Acl]] | None = None,
    java_flags: Sequence[str] = (),
) -> AsyncIterator[Authorising]:
    """Run the broker, with every permission granted but those in `without`, by account."""
    known = {account.name: account for account in accounts(PROVINCES)}
    authority = CertificateAuthority(directory / "authority")
    users = {name: f"password-of-{name}" for name in (*known, STACK)}
    security = BrokerSecurity(
        authority=authority,
        certificate=authority.issue("broker"),
        users=users,
        authorises=True,
        super_users=(STACK,),
    )
    left_out = {name: set(acls) for name, acls in (without or {}).items()}
    granted = [
        Account(name, tuple(acl for acl in account.acls if acl not in left_out.get(name, ())))
        for name, account in known.items()
    ]
    async with EmbeddedKafka(
        directory / "kafka", security=security, more_java_flags=java_flags
    ) as broker:
        await grant(broker.plain_address, granted)
        yield Authorising(broker, authority, directory, known)


def decided(log: str, *, allowed: bool) -> Used:
    """Return what the authorizer allowed, or denied, by a log that `AUTHORIZER_LOG` has made.

    The answers to a process that asks what it may do are not in it: they are logged as traces.
    """
    wanted = "Allowed" if allowed else "Denied"
    found = defaultdict(set)
    for account, decision, operation, kind, name, _ in _DECISION.findall(log):
        if decision == wanted:
            found[account].add((kind.lower(), name, operation.replace("_", "").lower()))
    return {account: frozenset(each) for account, each in found.items()}


def unused(account: Account, used: Used) -> set[tuple[str, str]]:
    """Return name and operation of each permission of the account that no request needed."""
    there = used.get(account.name, frozenset())
    return {
        (acl.name, operation)
        for acl in account.acls
        for operation in acl.operations
        if not any(
            (kind, allowed) == (acl.resource.lower(), operation.lower())
            and (name == acl.name or (acl.pattern is Pattern.PREFIX and name.startswith(acl.name)))
            for kind, name, allowed in there
        )
    }
