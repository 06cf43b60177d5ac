"""The worst loss that no back-up covers: store and router's table gone, Kafka and key ring kept."""

from __future__ import annotations

import json
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chain_kit import until
from tests.e2e.lobby_kit import lobby_in
from tests.e2e.restore_kit import (
    PRINTS,
    counts_outside,
    json_of_command,
    start_command,
    submit_until_printed,
)
from tongban_common.envelope import KeyMissingError, KeyRing
from tongban_common.store import DocumentStore, Store
from tongban_devstack.secrets_file import stack_secrets

PAUSED = "440000"
OTHER_RING = json.dumps({"active": "k", "keys": {"k": "B" * 43}})


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_store_and_table_lost_without_back_up_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    connectors = {"TONGBAN_PROVINCES": f"{PRINTS},{PAUSED}"}
    options: dict[str, Any] = {
        "profile": "prompt", "clock": None, "environments": {"connectors": connectors},
    }  # fmt: skip
    async with lobby_in(tmp_path, **options) as lobby:
        printed = [await submit_until_printed(lobby, f"drill-key-{number}") for number in (1, 2)]
        await json_of_command(lobby, "province", "pause", PAUSED)
        query = next(
            item for item in lobby.catalogue if item.province == PAUSED and item.kind == "query"
        )
        waiting = await lobby.submit(query, "drill-key-3")
        await lobby.when(waiting, "waiting_for_province")
        before = {each: await lobby.read(each) for each in (*printed, waiting)}
        was_outside = await counts_outside(lobby)
        data = lobby.stack.data
    back_up = stack_secrets(data)["TONGBAN_KEYRING"]
    shutil.rmtree(data / "store")
    shutil.rmtree(data / "router-0")

    async with lobby_in(tmp_path, **options, services=False) as lobby:
        interrupted = await start_command(lobby, "rebuild")
        interrupted.send_signal(signal.SIGKILL)
        await interrupted.communicate()
        told = await json_of_command(lobby, "restore")
        assert told["printing"]["documents made again"] == len(printed)
        assert told["printing"]["files of provinces lost"] == 0
        assert told["notify"]["guards"] == len(was_outside[1])
        first = await json_of_command(lobby, "rebuild")
        assert await json_of_command(lobby, "rebuild") == first, "idempotent"
        assert (first["unreadable"], first["in_router"]) == (0, 3)

    async with lobby_in(tmp_path, **options) as lobby:

        async def same(request_id: str) -> bool:
            return await lobby.read(request_id) == before[request_id]

        for request_id, was in before.items():
            await until(partial(same, request_id), f"{request_id} as it was: {was}")
        await json_of_command(lobby, "province", "resume", PAUSED)
        await lobby.when(waiting, "completed")
        effects = await lobby.ledger(*before)
        assert effects == {(each, "submit"): 1 for each in before}
        another = await submit_until_printed(lobby, "drill-key-4")
        sheets, messages = await counts_outside(lobby)
        assert sheets == [1] * (len(printed) + 1)
        assert set(messages) == {1}

        document = (await lobby.read(another))["documents"][0]["document_id"]
        store = Store(lobby.stack.store, "tongban")
        with pytest.raises(KeyMissingError):
            await DocumentStore(store, KeyRing.parse(OTHER_RING)).get(another, document)
        kept = await DocumentStore(store, KeyRing.parse(back_up)).get(another, document)
        assert kept is not None
        assert kept.pdf.startswith(b"%PDF")
        store.close()
