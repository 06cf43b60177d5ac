"""`tongban restore` after the store was played back from a back-up that lacks the last guards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chain_kit import until
from tests.e2e.lobby_kit import Lobby, lobby_in
from tests.e2e.restore_kit import (
    counts_outside,
    json_of_command,
    run_command,
    submit_until_printed,
)
from tongban_common.store import Store

GUARDS = ("print_orders", "message_guards", "printables", "documents")


async def has_document(lobby: Lobby, request_id: str) -> bool:
    """Whether the only document of a request can be fetched."""
    (document,) = (await lobby.read(request_id))["documents"]
    path = f"/v1/requests/{request_id}/documents/{document['document_id']}"
    return (await lobby.call("GET", path))[0] == 200


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_restored_back_up_prints_and_sends_nothing_twice(tmp_path: Path) -> None:
    options: dict[str, Any] = {"profile": "prompt", "clock": None}
    async with lobby_in(tmp_path, **options) as lobby:
        await submit_until_printed(lobby, "restored-1")
        store = Store(lobby.stack.store, "tongban")
        back_up = {name: await store.collection(name).find({}).to_list(None) for name in GUARDS}
        store.close()
        after = [await submit_until_printed(lobby, f"restored-{number}") for number in (2, 3)]
        before = await counts_outside(lobby)
        assert "stop them first" in (await run_command(lobby, "restore", code=75))[1]

    async with lobby_in(tmp_path, **options, services=False) as lobby:
        store = Store(lobby.stack.store, "tongban")
        for name, documents in back_up.items():
            await store.collection(name).delete_many({})
            await store.collection(name).insert_many(documents)
        told = await json_of_command(lobby, "restore")
        assert told["printing"] == {
            # Two orders, each queued and printed.
            "reports applied": 4, "questions": 0, "orders handled again": 0,
            "documents made again": 2, "files of provinces lost": 0,
        }  # fmt: skip
        assert told["notify"]["guards"] == len(before[1]) - len(back_up["message_guards"])
        again = await json_of_command(lobby, "restore")
        assert again["printing"]["reports applied"] == again["notify"]["guards"] == 0, "idempotent"
        store.close()

    async with lobby_in(tmp_path, **options) as lobby:
        # The documents are there again once what was sent again has been handled.
        for request_id in after:
            await until(partial(has_document, lobby, request_id), "its document")
        await submit_until_printed(lobby, "restored-4")
        sheets, messages = await counts_outside(lobby)
        assert sheets == [1] * 4
        assert messages == [1] * (len(before[1]) + 1)
