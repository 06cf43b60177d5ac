"""The whole chain where Kafka speaks nothing but TLS and SASL to its clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.lobby_kit import PATIENCE, lobby_in
from tests.integration.kafka.secured_kit import WORD, secured_kafka

WANTED = 3


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_requests_complete_print_and_notify_over_sasl_ssl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake, the router with Faust, the connectors, printing and notify know the broker by its
    SASL_SSL address alone, and so do the commands that make topics and publish the catalogue."""
    async with secured_kafka(tmp_path) as secured:
        for name, value in secured.environment().items():
            monkeypatch.setenv(name, value)
        async with lobby_in(tmp_path) as lobby:
            items = [item for item in lobby.catalogue if item.printable][:WANTED]
            requests = [
                await lobby.submit(item, lobby.key(item, "complete"), print=True) for item in items
            ]
            for request_id in requests:
                said = await lobby.when(request_id, "completed")
                assert [order["status"] for order in said["print_orders"]] == ["printed"], said
            sheets = await lobby.outside(f"{lobby.stack.devices}/printed")
            assert len(sheets) == WANTED
            async with asyncio.timeout(PATIENCE):
                while len(await lobby.outside(f"{lobby.stack.devices}/messages")) < WANTED:  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.2)
        logs = {file: file.read_text() for file in (tmp_path / "data" / "logs").glob("*.log")}
    assert {file.stem for file in logs} >= {
        "intake-0", "router-0", "connectors-0", "printing-0", "notify-0"
    }  # fmt: skip
    assert not [file.name for file, text in logs.items() if "kafka_refused" in text]
    assert not [file.name for file, text in logs.items() if WORD in text]
