"""A lobby with its kiosk on a whole stack: what people do there, and how to watch them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tongban_common.catalogue import Catalogue, Item
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_devstack.demo.day_runner import FINAL, SETTLED_PRINTS
from tongban_devstack.gateways.applications import Plan, plan
from tongban_devstack.gateways.provinces import load_provinces
from tongban_devstack.secrets_file import stack_secrets
from tongban_devstack.stack import Stack, StackOptions
from tongban_ops.catalogue.loader import load

CATALOGUE = Path(__file__).parents[2] / "catalogue"
KIOSK, BRANCH = "k-310115-001", "b-310115-01"
SPEED = 120.0
"""Business seconds a second: what takes a province of the demo 5 minutes takes 2.5 s."""
STARTS = "2026-03-02T09:00:00+08:00"
PATIENCE = 90.0


@dataclass
class Lobby:
    """One kiosk. `intakes` are the addresses of all replicas; calls go to the first unless told."""

    stack: Stack
    http: aiohttp.ClientSession
    catalogue: Catalogue
    intakes: list[str]
    persistent: bool = False
    """Whether to call again, as a kiosk does, where intake is away; keys make it one request."""

    def item(self, name: str, province: str) -> Item:
        """The cross-province item of that name."""
        found = [
            item
            for item in self.catalogue
            if (item.name, item.province) == (name, province) and "cross_province" in item.zones
        ]
        assert len(found) == 1, (name, province, found)
        return found[0]

    async def call(
        self, method: str, path: str, *, key: str = "", replica: int = 0, **more: Any
    ) -> tuple[int, Any]:
        """Status and JSON body (or bytes) of an answer of intake."""
        headers = {"Authorization": f"Bearer {await self.stack.token(KIOSK, BRANCH)}"}
        if key:
            headers["Idempotency-Key"] = key
        url = self.intakes[replica] + path
        loop = asyncio.get_running_loop()
        until = loop.time() + (PATIENCE if self.persistent else 0)
        while True:
            try:
                status, said = await self._call(method, url, headers, more)
                if status != 503 or loop.time() >= until:
                    return status, said
            except aiohttp.ClientError:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(0.2)

    async def _call(
        self, method: str, url: str, headers: dict[str, str], more: dict[str, Any]
    ) -> tuple[int, Any]:
        async with self.http.request(method, url, headers=headers, **more) as reply:
            if "json" in reply.content_type:
                return reply.status, await reply.json()
            return reply.status, await reply.read()

    async def submit(self, item: Item, key: str, **more: Any) -> str:
        """Hand in the item's examples, changed by `more`; the request's id."""
        body = {
            "item_code": item.code,
            "channel": "self_service",
            "applicant": item.example_applicant,
            "form": item.example_form,
            **more,
        }
        status, said = await self.call("POST", "/v1/requests", key=key, json=body)
        assert status == 202, (item.name, said)
        request_id: str = said["request_id"]
        return request_id

    async def read(self, request_id: str) -> dict[str, Any]:
        """How a request stands."""
        status, said = await self.call("GET", f"/v1/requests/{request_id}")
        assert status == 200, said
        assert isinstance(said, dict)
        return said

    async def when(self, request_id: str, *statuses: str) -> dict[str, Any]:
        """The request once it has one of these statuses; with its sheet settled where final."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        said: dict[str, Any] = {}
        while loop.time() < deadline:
            said = await self.read(request_id)
            orders = [order["status"] for order in said["print_orders"]]
            settled = not said.get("print") or (orders and set(orders) <= SETTLED_PRINTS)
            if said["status"] in statuses and (said["status"] != "completed" or settled):
                return said
            if said["status"] in FINAL and said["status"] not in statuses:
                break
            await asyncio.sleep(0.2)
        pytest.fail(f"not {statuses} within {PATIENCE} s: {said}")

    async def ledger(self, *request_ids: str) -> dict[tuple[str, str], int]:
        """(request, effect) -> how often it took effect at the provinces."""
        lines = await self.outside(f"{self.stack.gateways}/ledger")
        return {
            (line["request_id"], line["effect"]): line["count"]
            for line in lines
            if line["request_id"] in request_ids and line["count"]
        }

    async def outside(self, url: str) -> list[dict[str, Any]]:
        """A ledger of the simulated outside."""
        async with self.http.get(url) as reply:
            assert reply.status == 200
            found: list[dict[str, Any]] = await reply.json()
            return found

    async def faults(self, url: str, **faults: object) -> None:
        """Set faults of the simulated outside."""
        async with self.http.put(url, json=faults) as reply:
            assert reply.status < 300, await reply.text()

    def key(self, item: Item, wanted: str, number: int = 0) -> str:
        """An Idempotency-Key under which the province will `complete` quickly, `reject`, ask for a
        `supplement`, or take its time (`linger`): what it does follows from the request's id."""
        secret = stack_secrets(self.stack.data)["TONGBAN_ID_SECRET"]
        now = datetime.fromisoformat(STARTS)
        for attempt in range(100_000):
            key = f"lobby-{item.code}-{wanted}-{number}-{attempt:06d}"
            request_id = ids.request_id(secret, kiosk_id=KIOSK, branch_id=BRANCH, key=key)
            made = plan("demo", load_provinces()[item.province], request_id, item.kind.value, now)
            if _fate(made, made.decided_at - now) == wanted:
                return key
        raise AssertionError(f"no key for {item.name} to {wanted}")


def _fate(made: Plan, takes: timedelta) -> str:
    if made.rejection:
        return "reject" if takes < timedelta(minutes=15) else "reject late"
    if made.supplement_at is not None:
        return "supplement" if takes < timedelta(minutes=15) else "supplement late"
    if takes < timedelta(minutes=8):
        return "complete"
    lingers = timedelta(minutes=20) < takes < timedelta(minutes=30)
    return "linger" if lingers else "complete late"


@asynccontextmanager
async def lobby_in(directory: Path, **options: Any) -> AsyncIterator[Lobby]:
    """A stack of its own, whose provinces behave as in the demo unless told otherwise."""
    wanted = {
        "profile": "demo",
        "clock": BusinessClock.parse(f"{STARTS}@{SPEED:g}"),
        **options,
    }
    async with (
        Stack(StackOptions(directory / "data", **wanted)) as stack,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        intakes = [stack._url(name) for name in stack.replicas("intake")]
        yield Lobby(stack, http, load(CATALOGUE), intakes)
