"""One tab of Debian's Chromium, steered over its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
_DEADLINE_S = 60.0


class Tab:
    """A page as a person has it: goes where it is told, back, and is read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._asked = 0

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        await self._socket.send_json({"id": self._asked, "method": method, "params": parameters})
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") == self._asked:
                found: dict[str, Any] = told.get("result", {})
                return found
        raise ConnectionError("chromium is gone")

    async def run(self, script: str) -> Any:
        """What an expression comes to in the page."""
        told = await self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        return told.get("result", {}).get("value")

    async def until(self, script: str, holds: Callable[[Any], bool]) -> Any:
        """What the expression comes to once it is as wanted."""
        until = time.monotonic() + _DEADLINE_S
        while not holds(found := await self.run(script)):
            if time.monotonic() > until:
                raise AssertionError(f"{script} is {found!r}")
            await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """A headless browser with nothing in it; its files go to `profile`."""
    assert CHROMIUM is not None
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            url = await _target(session, profile)
            async with session.ws_connect(url, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        browser.terminate()
        await browser.wait()


async def _target(session: aiohttp.ClientSession, profile: Path) -> str:
    """Where the tab listens; Chromium writes its port into its profile."""
    async with asyncio.timeout(_DEADLINE_S):
        while True:
            try:
                port = (profile / "DevToolsActivePort").read_text().split()[0]
                async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
                    pages = [each for each in await reply.json() if each["type"] == "page"]
                return str(pages[0]["webSocketDebuggerUrl"])
            except (OSError, IndexError, aiohttp.ClientError):
                await asyncio.sleep(0.05)
