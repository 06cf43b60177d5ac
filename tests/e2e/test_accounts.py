"""Every process has an account of its own at a broker that authorises, with the permissions that
follow from the registry of topics: they suffice for everything, and allow nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.lobby_kit import PATIENCE, lobby_in
from tests.integration.facts.facts_kit import Exporting
from tests.integration.kafka.accounts_kit import (
    AUTHORIZER_LOG,
    STACK,
    authorising,
    decided,
    unused,
)
from tongban_common import topics
from tongban_ops.deployment.access import Account, Acl, Resource
from tongban_ops.deployment.processes import PROCESSES

FAULTS = {f"{group}.dlt" for group in topics.GROUPS}
"""Written only when a record cannot be handled."""
PROVINCES = {topics.province_requests(province) for province in topics.PROVINCES}
NOT_IN_THIS_RUN = {
    topics.INTAKE: {
        topics.FEEDBACK_RATED,
        topics.PRINT_ORDERS,
        topics.REQUESTS_COMMANDS,
        topics.KIOSKS_HELP,
    },
    topics.ROUTER: {topics.ROUTER_TIMERS, *PROVINCES},
    topics.FACTS: {topics.FEEDBACK_RATED, *PROVINCES},
}
"""Topics that one request to one province has no use for: they take a rating, a copy, a withdrawal,
a call for help, a deadline or another province. The export fetches no topic without records."""


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_permissions_of_the_registry_suffice_for_the_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with authorising(tmp_path, java_flags=(AUTHORIZER_LOG,)) as kafka:
        for name, value in kafka.environment(STACK).items():
            monkeypatch.setenv(name, value)
        own = {process.name: kafka.environment(process.account) for process in PROCESSES}
        async with lobby_in(tmp_path, environments=own) as lobby:
            item = next(item for item in lobby.catalogue if item.printable)
            request_id = await lobby.submit(item, lobby.key(item, "complete"), print=True)
            said = await lobby.when(request_id, "completed")
            assert [order["status"] for order in said["print_orders"]] == ["printed"], said
            async with asyncio.timeout(PATIENCE):
                while not await lobby.outside(f"{lobby.stack.devices}/messages"):  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.2)
            as_facts = kafka.environment(topics.FACTS)
            exporting = Exporting(kafka.broker.address, tmp_path / "facts", as_facts)
            code, output = await exporting.run()
            # One request is never published alone.
            assert (code, "0 requests published, 1 withheld" in output) == (0, True), output
        logs = {file: file.read_text() for file in (tmp_path / "data" / "logs").glob("*.log")}
        decisions = (tmp_path / "kafka.log").read_text(errors="replace")
    assert not [file.name for file, text in logs.items() if "uthorization" in text]
    used = decided(decisions, allowed=True)
    accounts = [kafka.accounts[process.account] for process in PROCESSES]
    accounts = [each for each in accounts if each.name in used] + [kafka.accounts[topics.FACTS]]
    assert len(accounts) == 6
    too_wide = {
        (account.name, topic, operation)
        for account in accounts
        for topic, operation in unused(account, used)
        if topic not in FAULTS | NOT_IN_THIS_RUN.get(account.name, set())
    }
    assert not too_wide, "granted, and needed by nothing"
    wider = Account(topics.NOTIFY, (Acl(Resource.TOPIC, topics.PRINT_ORDERS, ("Read",)),))
    assert unused(wider, used) == {(topics.PRINT_ORDERS, "Read")}
    denied = decided(decisions, allowed=False)
    # librdkafka looks for the coordinator of a group that the export never joins.
    assert set(denied) <= {topics.FACTS}, denied
    assert denied.get(topics.FACTS, frozenset()) <= {("group", "tongban-export", "describe")}
