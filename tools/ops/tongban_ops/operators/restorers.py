"""List the services whose guards `tongban restore` rebuilds, and the members of their groups."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient

from tongban_common.restoring import Restorer
from tongban_kafka import KafkaAddress, client_options
from tongban_notify.restorer import NotifyRestorer
from tongban_printing.restorer import PrintingRestorer


def restorers() -> list[Restorer]:
    """Return one for each service that keeps guards in the store."""
    return [NotifyRestorer(), PrintingRestorer()]


async def members(bootstrap: KafkaAddress, groups: Iterable[str]) -> dict[str, int]:
    """Return how many members each consumer group has now; groups without any are left out.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    client = AIOKafkaAdminClient(**client_options(bootstrap))
    try:
        await client.start()
        found = {}
        for group in groups:
            # Query one group at a time: aiokafka 0.14 cannot decode a description of several
            # groups.
            (response,) = await client.describe_consumer_groups([group])
            (described,) = response.groups
            if described[5]:
                found[group] = len(described[5])
        return found
    finally:
        await client.close()
