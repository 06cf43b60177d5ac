"""Watches whether the broker permits everything that a process needs.

Kafka's clients report a missing permission late, or never: a topic that may not be described looks
as if it did not exist, and Faust is silent without the permission on its group. So a client of its
own queries the broker for the permissions of the account every few seconds, at the start and while
the process runs. A missing one is logged as `kafka_refused`, and the process is not ready.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tongban_kafka._aiokafka import check_prepared
from tongban_kafka._aiokafka.authorizations import allowed_on_topics, may_join
from tongban_kafka.cancellation import background_task
from tongban_kafka.denials import LOOK_AT, NAMED, Permission, account_of, describe_missing
from tongban_kafka.security import KafkaAddress, client_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

_EVERY_S = 3.0
"""Seconds between two checks: a probe must know of a lost permission within ten."""
_CHECKS_FOR_ALL = 3
"""Checks after which each group was asked for, once everything was permitted: it costs a request
for each group."""
_ATTEMPT_S = 5.0
_LOGGED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class NeededPermissions:
    """Names what a process reads, writes, and joins as a member of a consumer group."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics that are read or written."""
        return self.reads | self.writes


class PermissionWatch:
    """Knows which permissions of a process are missing at the broker.

    While no broker answers, the last answer counts: other probes report a missing connection.

    Args:
        needs: what the process needs.
        on_lost: called when permissions that the process had are missing in two checks running.
    """

    def __init__(
        self,
        kafka: KafkaAddress,
        needs: NeededPermissions,
        *,
        on_lost: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._kafka = kafka
        self._needs = needs
        self._groups_in_turn = itertools.cycle(sorted(needs.groups))
        self._on_lost = on_lost
        self._account = account_of(kafka)
        self._missing: tuple[Permission, ...] | None = None
        self._logged_at = float("-inf")
        self._had_all = False

    @property
    def missing(self) -> tuple[Permission, ...]:
        """Return what was missing in the last check."""
        return self._missing or ()

    def readiness(self) -> str | None:
        """Return None, or a text that names the missing permissions and the account."""
        return self._text() if self._missing else None

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            async with _client(self._kafka) as client:
                while client is not None:
                    try:
                        await self._check(client)
                    except (KafkaError, OSError, TimeoutError):
                        break  # connect anew: the broker may be another one
                    await asyncio.sleep(_EVERY_S)
            await asyncio.sleep(_EVERY_S / 3)

    async def wait_granted(self, trying: Callable[[], None] = lambda: None) -> None:
        """Return once nothing is missing.

        Args:
            trying: called every second.
        """
        async with background_task(self.run()) as checking:
            while self._missing != ():
                trying()
                await asyncio.wait([checking], timeout=1.0 if self._missing else 0.05)
                if checking.done():
                    checking.result()

    async def _check(self, client: AIOKafkaClient) -> None:
        async with asyncio.timeout(_ATTEMPT_S):
            found = await missing_permissions(client, self._next_needs())
        before, self._missing = self._missing, found
        if found:
            self._log(found, is_new=found != before)
            if self._had_all and before:
                self._on_lost(self._text())
        else:
            self._had_all = True
            if before:
                log.info("kafka_permitted", account=self._account)

    def _next_needs(self) -> NeededPermissions:
        if self._missing or not self._had_all:
            return self._needs
        count = math.ceil(len(self._needs.groups) / _CHECKS_FOR_ALL)
        some = frozenset(itertools.islice(self._groups_in_turn, count))
        return replace(self._needs, groups=some)

    def _log(self, missing: tuple[Permission, ...], *, is_new: bool) -> None:
        now = time.monotonic()
        if is_new or now - self._logged_at >= _LOGGED_EVERY_S:
            self._logged_at = now
            log.error(
                "kafka_refused",
                broker=str(self._kafka),
                account=self._account,
                reason=self._text(),
                missing=[str(each) for each in missing],
                look_at=[*[each.grant(self._account) for each in missing[:NAMED]], LOOK_AT],
            )

    def _text(self) -> str:
        return describe_missing(self._account, self.missing)


async def missing_permissions(
    client: AIOKafkaClient, needs: NeededPermissions
) -> tuple[Permission, ...]:
    """Return what the broker does not permit, sorted. Topics that do not exist are no matter of
    permissions and are left out.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    missing = []
    topics = await allowed_on_topics(client, needs.topics) if needs.topics else {}
    for topic, allowed in topics.items():
        if not allowed.may_describe:
            missing.append(Permission("Describe", "topic", topic))
        if allowed.may_describe and not allowed.exists:
            continue
        if topic in needs.reads and not allowed.may_read:
            missing.append(Permission("Read", "topic", topic))
        if topic in needs.writes and not allowed.may_write:
            missing.append(Permission("Write", "topic", topic))
    missing += [
        Permission("Read", "group", group)
        for group in needs.groups
        if not await may_join(client, group)
    ]
    return tuple(sorted(missing, key=lambda each: (each.resource, each.name, each.operation)))


@asynccontextmanager
async def _client(kafka: KafkaAddress) -> AsyncIterator[AIOKafkaClient | None]:
    """Yield a connected client, or None if no broker answers."""
    check_prepared()
    client = AIOKafkaClient(**client_options(kafka), client_id="tongban-permissions")
    try:
        async with asyncio.timeout(_ATTEMPT_S):
            await client.bootstrap()
    except (KafkaError, OSError, TimeoutError):
        await client.close()
        yield None
        return
    try:
        yield client
    finally:
        await client.close()
