"""The key ring of a whole running stack: rotated in mid-work, and an old key destroyed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from tongban_common import topics
from tongban_common.catalogue import Item
from tongban_common.events import decode
from tongban_devstack.stack import Stack, StackOptions
from tongban_ops.catalogue.loader import load
from tongban_ops.cli.main import application

CATALOGUE = Path(__file__).parents[3] / "catalogue"
DOWN = "650000"
PATIENCE_S = 90.0


class Counter:
    """A kiosk's client, and an operator at the stack's key ring."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, token: str) -> None:
        self.stack = stack
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def keys(self, *arguments: str, code: int = 0) -> Any:
        """What `tongban keys` says; the other processes run on meanwhile."""
        env = {
            "TONGBAN_KEYRING": f"@{self.stack.data}/keyring.json",
            "TONGBAN_STORE": self.stack.store,
        }
        answer = await asyncio.to_thread(
            CliRunner(env=env).invoke, application(), ["keys", *arguments, "--json"]
        )
        assert answer.exit_code == code, (answer.stdout, answer.stderr)
        return json.loads(answer.stdout) if code == 0 else answer.stderr

    async def submit(self, item: Item, key: str) -> str:
        body = {
            "item_code": item.code,
            "channel": "self_service",
            "applicant": item.example_applicant,
            "form": item.example_form,
        }
        answer = await self.call("POST", "/v1/requests", json=body, key=key)
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["request_id"])

    async def call(
        self, method: str, path: str, *, key: str = "", **more: Any
    ) -> aiohttp.ClientResponse:
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        url = self.stack.intake + path
        async with self._http.request(method, url, headers=headers, **more) as answer:
            await answer.read()
            return answer

    async def read(self, request_id: str) -> dict[str, Any]:
        answer = await self.call("GET", f"/v1/requests/{request_id}")
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found

    async def printed(self, request_id: str) -> dict[str, Any]:
        """Once it is completed, its sheet is out and its message sent."""

        async def done() -> bool:
            told = await self.read(request_id)
            orders = [order["status"] for order in told["print_orders"]]
            sent = [message["status"] for message in told["messages"]]
            return (told["status"], orders, sent) == ("completed", ["printed"], ["sent"])

        await until(done, "a completed request on paper")
        return await self.read(request_id)

    async def know_destroyed(self, kid: str) -> bool:
        """Return True once every process that opens envelopes has said that this key is gone."""
        for name in ("intake-0", "connectors-0", "printing-0", "notify-0"):
            log = await asyncio.to_thread((self.stack.data / "logs" / f"{name}.log").read_text)
            told = [json.loads(line) for line in log.splitlines() if "keyring_changed" in line]
            if not any(kid in each["destroyed"] for each in told):
                return False
        return True

    async def fault(self, **faults: Any) -> None:
        url = f"{self.stack.gateways}/faults/{DOWN}"
        async with self._http.put(url, json=faults) as answer:
            assert answer.status < 300


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not await condition():
        assert loop.time() < deadline, f"waited {PATIENCE_S} s in vain: {what}"
        await asyncio.sleep(0.1)


async def records(kafka: str, *names: str) -> list[Any]:
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found: list[Any] = []
        ends = await consumer.end_offsets(consumer.assignment())
        while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            for raws in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(raws)
        return found
    finally:
        await consumer.stop()


@pytest.mark.timeout(400)
@pytest.mark.long
async def test_a_ring_is_rotated_in_mid_work_and_an_old_key_destroyed(tmp_path: Path) -> None:
    items = [item for item in load(CATALOGUE) if item.audience.admits("person")]
    sheet = next(item for item in items if item.printable and item.province != DOWN)
    waiting = next(item for item in items if item.province == DOWN)
    async with Stack(StackOptions(tmp_path / "data")) as stack, aiohttp.ClientSession() as http:
        desk = Counter(stack, http, await stack.token("k-1", "b-1"))
        await desk.fault(down=True)
        first = await desk.submit(sheet, "before-rotation")
        stuck = await desk.submit(waiting, "never-delivered")
        await desk.printed(first)

        fresh = (await desk.keys("rotate", "--after", "3"))["kid"]
        during = await desk.submit(sheet, "during-rotation")
        state = {row["kid"]: row["state"] for row in await desk.keys("list")}
        assert state[fresh] in ("waiting", "active")

        async def took_over() -> bool:
            rows = {row["kid"]: row["state"] for row in await desk.keys("list")}
            return rows[fresh] == "active"

        await until(took_over, "the new key's turn")
        after = await desk.submit(sheet, "after-rotation")
        for request_id in (during, after):
            assert "outcome" in await desk.printed(request_id)

        assert "less than an hour ago" in await desk.keys("destroy", "k1", code=1)
        assert "in use" in await desk.keys("destroy", fresh, "--force", code=1)
        assert (await desk.read(first)).get("personal_data") is None
        await desk.keys("destroy", "k1", "--force")

        # Each looks once a second: what one of them does with the key until then is no fault.
        await until(lambda: desk.know_destroyed("k1"), "the ring's being taken over by all")
        assert (await desk.read(first))["personal_data"] == "destroyed"
        told = await desk.read(first)
        assert told["status"] == "completed"
        assert "outcome" not in told
        (document,) = told["documents"]
        path = f"/v1/requests/{first}/documents/{document['document_id']}"
        assert (await desk.call("GET", path)).status == 410
        again = await desk.call("POST", f"/v1/requests/{first}/prints", json={}, key="print-again")
        assert again.status == 410
        rated = await desk.call(
            "POST",
            f"/v1/requests/{first}/rating",
            json={"grade": 5, "words": "好"},
            key="rate-0001",
        )
        assert rated.status == 202

        # What had not been sent yet ends with a reason, and is nobody's dead letter.
        await desk.fault(down=False)

        async def ended() -> bool:
            return (await desk.read(stuck))["status"] == "expired"

        await until(ended, "an end for what can never be sent")
        assert "销毁" in (await desk.read(stuck))["reason"]

        async def told_that_nobody_was_told() -> bool:
            return [m["status"] for m in (await desk.read(stuck))["messages"]] == ["suppressed"]

        await until(told_that_nobody_was_told, "a message on record as suppressed")
        assert "outcome" in await desk.printed(after)
        last = await desk.submit(sheet, "after-destruction")
        await desk.printed(last)
        dead = [name for name in topics.TOPICS if name.endswith(".dlt")]
        assert await records(stack.kafka, *dead) == []
        submitted = await records(stack.kafka, topics.REQUESTS_SUBMITTED)
        kids = {
            event.body.request_id: event.body.sealed.kid  # type: ignore[attr-defined]
            for event in (decode(raw.value, raw.headers) for raw in submitted)
        }
        assert (kids[first], kids[stuck]) == ("k1", "k1")
        assert kids[after] == kids[last] == fresh
