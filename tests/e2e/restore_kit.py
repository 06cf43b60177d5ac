"""Loses and restores what a lobby has kept: commands, requests with a sheet, counts at the
devices."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.e2e.chain_kit import until
from tests.e2e.lobby_kit import Lobby

TONGBAN = Path(sys.executable).with_name("tongban")
PRINTS = "340000"
"""The province whose sheets are printed."""


async def start_command(lobby: Lobby, *arguments: str) -> asyncio.subprocess.Process:
    """Start a command against the lobby's Kafka and store."""
    stack = lobby.stack
    return await asyncio.create_subprocess_exec(
        str(TONGBAN), *arguments,
        env={**os.environ, "TONGBAN_KAFKA": stack.kafka, "TONGBAN_STORE": stack.store},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def run_command(
    lobby: Lobby, *arguments: str, code: int = 0, seconds: float = 120
) -> tuple[str, str]:
    """Run a command to its end and return its stdout and stderr.

    Unless `code` is expected, exit code 75 is tried again as its message says: the group remembers
    a static member that was stopped until its session is over.
    """
    async with asyncio.timeout(seconds):
        while True:
            process = await start_command(lobby, *arguments)
            out, err = await process.communicate()
            if code == 75 or process.returncode != 75:
                break
    assert process.returncode == code, (out.decode(), err.decode())
    return out.decode(), err.decode()


async def json_of_command(lobby: Lobby, *arguments: str) -> Any:
    """Run a command with `--json` and return what it prints."""
    return json.loads((await run_command(lobby, *arguments, "--json"))[0])


async def submit_until_printed(lobby: Lobby, key: str) -> str:
    """Submit a request for an item with a sheet; return its id once it is completed and its
    message sent.

    Args:
        key: the Idempotency-Key.
    """
    item = next(item for item in lobby.catalogue if item.province == PRINTS and item.printable)
    request_id = await lobby.submit(item, key)
    await lobby.when(request_id, "completed")

    async def told() -> bool:
        return bool((await lobby.read(request_id))["messages"])

    await until(told, "a message")
    return request_id


async def counts_outside(lobby: Lobby) -> tuple[list[int], list[int]]:
    """Return how often each sheet and each message came out, as the simulated devices count."""
    devices = lobby.stack.devices
    sheets = await lobby.outside(f"{devices}/printed")
    messages = await lobby.outside(f"{devices}/messages")
    return [each["count"] for each in sheets], [each["count"] for each in messages]
