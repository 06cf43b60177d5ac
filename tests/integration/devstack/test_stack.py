"""`tongban up` as its users run it: a process, one line on stdout, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from motor.motor_asyncio import AsyncIOMotorClient

from tests.unit.devstack.child_kit import gone, until
from tongban_common.topics import TOPICS
from tongban_devstack.stack import Stack, StackOptions

pytestmark = pytest.mark.long

TONGBAN = Path(sys.executable).with_name("tongban")


class Up:
    """A running `tongban up`."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


async def run(*arguments: str, **more: str) -> asyncio.subprocess.Process:
    given = {name: value for name, value in os.environ.items() if not name.startswith("TONGBAN_")}
    given |= more
    return await asyncio.create_subprocess_exec(
        str(TONGBAN), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=given,
    )  # fmt: skip


@asynccontextmanager
async def up(data: Path, *arguments: str) -> AsyncIterator[Up]:
    process = await run("up", "--data", str(data), *arguments)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        if not line:
            _, said = await process.communicate()
            pytest.fail(said.decode())
        yield Up(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stop(running: Up, number: int = signal.SIGTERM) -> None:
    """Ends with 0, has said nothing more on stdout, and leaves nothing behind."""
    children = running.children()
    running.process.send_signal(number)
    rest, _ = await asyncio.wait_for(running.process.communicate(), 60)
    assert running.process.returncode == 0
    assert rest == b""
    assert all(map(gone, children))


async def send(kafka: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait("feedback.rated", value, key=b"key")


async def received(kafka: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        "feedback.rated", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    async with consumer, asyncio.timeout(20):
        return [(await consumer.getone()).value for _ in range(count)]


async def ledger(gateways: str) -> list[Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{gateways}/ledger") as reply:
        assert reply.status == 200
        found: list[Any] = await reply.json()
        return found


async def test_stack_started_again_continues_after_stop_and_kill(tmp_path: Path) -> None:
    async with up(tmp_path / "data", "--no-services") as first:
        ready = first.ready
        assert ready["ready"] is True
        assert ready["intake"] is None
        admin = AIOKafkaAdminClient(bootstrap_servers=ready["kafka"])
        await admin.start()
        assert set(TOPICS) <= set(await admin.list_topics())
        await admin.close()
        assert await ledger(ready["gateways"]) == []
        await send(ready["kafka"], b"before")
        client: Any = AsyncIOMotorClient(ready["store"])
        await client.kept.documents.insert_one({"_id": 1})
        await stop(first)

    async with up(tmp_path / "data", "--no-services") as second:
        same = {**second.ready, "token": None}
        assert same == {**ready, "token": None}
        await send(ready["kafka"], b"between")
        children = second.children()
        second.process.kill()
        await second.process.wait()
        await until(lambda: all(map(gone, children)))

    async with up(tmp_path / "data", "--no-services") as third:
        assert {**third.ready, "token": None} == same
        assert await received(ready["kafka"], 2) == [b"before", b"between"]
        assert await client.kept.documents.count_documents({}) == 1
        client.close()
        await stop(third, signal.SIGINT)


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Without services, in this process."""
    options = StackOptions(tmp_path_factory.mktemp("stack") / "data", services=False)
    async with Stack(options) as running:
        yield running


@pytest.mark.parametrize("name", ["kafka", "store", "gateways", "devices"])
async def test_killed_process_is_restarted_at_its_address(stack: Stack, name: str) -> None:
    (before,) = stack.pids(name)
    stack.kill(name, signal.SIGKILL)
    await until(lambda: gone(before))
    await until(lambda: stack.pids(name) != [before])
    await stack.supervisor.ready(name)
    assert stack.supervisor.restarts[name] == 1


async def test_topics_outlive_the_broker(stack: Stack) -> None:
    await send(stack.kafka, b"before")
    (before,) = stack.pids("kafka")
    stack.kill("kafka", signal.SIGKILL)
    await until(lambda: stack.pids("kafka") != [before])
    await stack.supervisor.ready("kafka")
    await send(stack.kafka, b"after")
    assert await received(stack.kafka, 2) == [b"before", b"after"]


async def test_second_stack_on_a_directory_is_refused(stack: Stack) -> None:
    second = await run("up", "--data", str(stack.data), "--no-services")
    out, said = await second.communicate()
    assert second.returncode == 75
    assert out == b""
    assert b"is in use by another process" in said
    assert b"Traceback" not in said
    assert await ledger(stack.gateways) == []


async def test_stack_stopped_while_starting_leaves_no_process(tmp_path: Path) -> None:
    process = await run("up", "--data", str(tmp_path / "data"))
    log = tmp_path / "data" / "logs" / "kafka.log"
    await until(log.exists, 60)
    children = [child.pid for child in psutil.Process(process.pid).children()]
    process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert out == b""
    assert children
    assert all(map(gone, children))


@pytest.mark.parametrize(
    ("below", "store", "code", "why"),
    [
        ("", "mongodb://name:word@127.0.0.1:9", 69, b"TONGBAN_STORE, 127.0.0.1:9, does not answer"),
        ("file", "", 2, b"--data"),
    ],
)
async def test_stack_that_cannot_start_names_the_cause(
    tmp_path: Path, below: str, store: str, code: int, why: bytes
) -> None:
    (tmp_path / "file").write_text("in the way")
    data = tmp_path / (below or "data")
    more = {"TONGBAN_STORE": store} if store else {}
    process = await run("up", "--data", str(data), "--no-services", **more)
    out, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == code
    assert out == b""
    assert why in said
    assert b"Traceback" not in said
