"""What the next person at a kiosk can get at with the browser's own means."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.browser.chromium_kit import CHROMIUM, Tab, tab
from tongban_common.tokens import Kiosk
from tongban_intake.kiosk.rendering import Pages
from tongban_intake.offers import Offers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

KIOSK = Kiosk("k-1", "b-1", "local", int(time.time()) + 3600)
PERSONAL = "/kiosk/personal"
SECRET = "340000198702246086"


class Lobby:
    """The kiosk's own pages: home, and a personal one with an ID number in it."""

    def __init__(self) -> None:
        self._pages = Pages(
            idle_seconds=600, assistant_idle_seconds=600, sign_out_proof=lambda _: ""
        )
        self.homes_asked = 0

    async def home(self, _: web.Request) -> web.Response:
        self.homes_asked += 1
        return self._page("home.html", overview=Offers().overview, most_used=[])

    def has_been_home(self, times: int, _: Any) -> bool:
        return self.homes_asked >= times

    async def personal(self, _: web.Request) -> web.Response:
        return self._page(
            "assistant.html", action=PERSONAL, key="", proof="", carried=[], who=SECRET,
            wrong=None, wait=None,
        )  # fmt: skip

    async def static(self, request: web.Request) -> web.Response:
        found = self._pages.static.response(request.match_info["name"])
        assert found is not None
        return web.Response(body=bytes(found.body), headers=dict(found.headers))

    def _page(self, template: str, **context: Any) -> web.Response:
        page = self._pages.page(template, kiosk=KIOSK, **context)
        return web.Response(
            body=bytes(page.body), content_type="text/html", charset="utf-8",
            headers={"Cache-Control": "no-store"},
        )  # fmt: skip


@asynccontextmanager
async def opened(lobby: Lobby, profile: Path) -> AsyncIterator[tuple[str, Tab]]:
    app = web.Application()
    app.router.add_get("/kiosk", lobby.home)
    app.router.add_get(PERSONAL, lobby.personal)
    app.router.add_get("/kiosk/static/{name}", lobby.static)
    async with TestServer(app) as server, tab(profile) as page:
        yield str(server.make_url("")).rstrip("/"), page


async def at(page: Tab, path: str) -> None:
    await page.until(
        "document.readyState + location.pathname + !document.documentElement.hidden",
        lambda found: found == f"complete{path}true",
    )


async def test_the_way_back_does_not_lead_into_the_last_persons_visit(tmp_path: Path) -> None:
    lobby = Lobby()
    async with opened(lobby, tmp_path / "profile") as (base, page):
        await page.run(f"location.href = '{base}/kiosk'")
        await at(page, "/kiosk")
        await page.run(f"location.href = '{PERSONAL}'")
        await at(page, PERSONAL)
        # Within a visit there is a way back, and parts of a page are no pages.
        await page.run("location.hash = '#main'")
        await page.run("history.back()")
        await page.until("location.hash", lambda found: found == "")
        assert SECRET in await page.run("document.getElementById('who').value")
        await page.run("location.hash = '#main'")
        await page.run("document.querySelector('.top .brand').click()")
        await at(page, "/kiosk")
        # The part of the page, then the page itself: each of them ends at home.
        for homes in (3, 4):
            await page.run("history.back()")
            await page.until("location.pathname", partial(lobby.has_been_home, homes))
            await at(page, "/kiosk")
            assert SECRET not in await page.run("document.documentElement.innerHTML")
        assert await page.run("Object.keys(sessionStorage).join()") == "visit"
        assert await page.run("localStorage.length") == 0
