"""`tongban restore` after the store was played back from a back-up that lacks the last guards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chain_kit import until
from tests.e2e.lobby_kit import Lobby, lobby_in
from tongban_common.store import Store

TONGBAN = Path(sys.executable).with_name("tongban")
GUARDS = ("print_orders", "message_guards", "printables", "documents")


async def tongban(lobby: Lobby, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What a command says on stdout and stderr."""
    stack = lobby.stack
    process = await asyncio.create_subprocess_exec(
        str(TONGBAN), *arguments,
        env={**os.environ, "TONGBAN_KAFKA": stack.kafka, "TONGBAN_STORE": stack.store},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    if code == 0 and process.returncode == 75:
        # The group remembers a static member that was stopped until its session is over.
        await asyncio.sleep(1)
        return await tongban(lobby, *arguments)
    assert process.returncode == code, (out.decode(), err.decode())
    return out.decode(), err.decode()


async def completed(lobby: Lobby, number: int) -> str:
    """A request of an item with a sheet, when its sheet is out and its message sent."""
    item = next(item for item in lobby.catalogue if item.province == "340000" and item.printable)
    request_id = await lobby.submit(item, f"restored-{number}")
    await lobby.when(request_id, "completed")

    async def told() -> bool:
        return bool((await lobby.read(request_id))["messages"])

    await until(told, "a message")
    return request_id


async def has_document(lobby: Lobby, request_id: str) -> bool:
    """Whether the only document of a request can be fetched."""
    (document,) = (await lobby.read(request_id))["documents"]
    path = f"/v1/requests/{request_id}/documents/{document['document_id']}"
    return (await lobby.call("GET", path))[0] == 200


async def outside(lobby: Lobby) -> tuple[list[int], list[int]]:
    """How often each sheet and each message came out, as the simulated devices count."""
    devices = lobby.stack.devices
    sheets = await lobby.outside(f"{devices}/printed")
    messages = await lobby.outside(f"{devices}/messages")
    return [each["count"] for each in sheets], [each["count"] for each in messages]


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_restored_back_up_prints_and_sends_nothing_twice(tmp_path: Path) -> None:
    options: dict[str, Any] = {"profile": "prompt", "clock": None}
    async with lobby_in(tmp_path, **options) as lobby:
        await completed(lobby, 1)
        store = Store(lobby.stack.store, "tongban")
        back_up = {name: await store.collection(name).find({}).to_list(None) for name in GUARDS}
        store.close()
        after = [await completed(lobby, number) for number in (2, 3)]
        before = await outside(lobby)
        assert "stop them first" in (await tongban(lobby, "restore", code=75))[1]

    async with lobby_in(tmp_path, **options, services=False) as lobby:
        store = Store(lobby.stack.store, "tongban")
        for name, documents in back_up.items():
            await store.collection(name).delete_many({})
            await store.collection(name).insert_many(documents)
        told = json.loads((await tongban(lobby, "restore", "--json"))[0])
        assert told["printing"] == {
            # Two orders, each queued and printed.
            "reports applied": 4, "questions": 0, "orders handled again": 0,
            "documents made again": 2, "files of provinces lost": 0,
        }  # fmt: skip
        assert told["notify"]["guards"] == len(before[1]) - len(back_up["message_guards"])
        again = json.loads((await tongban(lobby, "restore", "--json"))[0])
        assert again["printing"]["reports applied"] == again["notify"]["guards"] == 0, "idempotent"
        store.close()

    async with lobby_in(tmp_path, **options) as lobby:
        # The documents are there again once what was sent again has been handled.
        for request_id in after:
            await until(partial(has_document, lobby, request_id), "its document")
        await completed(lobby, 4)
        sheets, messages = await outside(lobby)
        assert sheets == [1] * 4
        assert messages == [1] * (len(before[1]) + 1)
