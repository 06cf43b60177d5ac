"""Each kind of process says what it lacks, and waits, while the broker does not permit it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.kafka.accounts_kit import STACK, Authorising, authorising
from tongban_common import topics
from tongban_common.exit_codes import EX_TEMPFAIL, EX_UNAVAILABLE
from tongban_devstack.embedded.permissions import grant, revoke
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import apply_topics
from tongban_ops.deployment.access import Account, Acl, Resource

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent
CATALOGUE = Path(__file__).parents[3] / "catalogue"
PROVINCE = "310000"
CONNECTOR = topics.connector_group(PROVINCE)
ACCOUNT = {
    "intake": topics.INTAKE,
    "router": topics.ROUTER,
    "connectors": CONNECTOR,
    "printing": topics.PRINTING,
    "notify": topics.NOTIFY,
}
STARTS_S = 120
"""Five interpreters start at once on two cores."""
SAYS_S = 10
"""The promise: seconds until a process says what it lacks."""


def on_topic(account: str, name: str, *operations: str) -> Account:
    return Account(account, (Acl(Resource.TOPIC, name, tuple(sorted(operations))),))


def on_group(account: str, name: str) -> Account:
    return Account(account, (Acl(Resource.GROUP, name, ("Read",)),))


AT_START = {
    "intake": (
        on_topic(topics.INTAKE, topics.REQUESTS_COMMANDS, "Describe", "Read", "Write"),
        "Describe on topic requests.commands",
    ),
    "router": (on_group(topics.ROUTER, topics.ROUTER_APP), "Read on group tongban-router"),
    "connectors": (
        on_topic(CONNECTOR, topics.province_requests(PROVINCE), "Describe", "Read"),
        f"Read on topic province.{PROVINCE}.requests",
    ),
    "printing": (
        on_topic(topics.PRINTING, topics.DOCUMENTS_PRINTED, "Describe", "Write"),
        "Write on topic documents.printed",
    ),
    "notify": (on_group(topics.NOTIFY, topics.NOTIFY_GROUP), "Read on group notify"),
}
"""Each process lacks this at its start, and says so in these words."""
LATER = {
    "intake": (
        on_group(topics.INTAKE, topics.READMODEL_GROUP),
        "Read on group intake-readmodel",
    ),
    "router": (
        on_topic(topics.ROUTER, topics.ROUTER_CHANGELOG, "Write"),
        f"Write on topic {topics.ROUTER_CHANGELOG}",
    ),
    "connectors": (on_group(CONNECTOR, CONNECTOR), f"Read on group {CONNECTOR}"),
    "printing": (
        on_topic(topics.PRINTING, topics.PRINT_ORDERS, "Read"),
        "Read on topic print.orders",
    ),
    "notify": (on_group(topics.NOTIFY, topics.NOTIFY_GROUP), "Read on group notify"),
}
"""Each process loses this while it runs."""


class Processes:
    """One process of each kind, restarted as a supervisor would."""

    def __init__(self, kafka: Authorising, http: aiohttp.ClientSession, directory: Path) -> None:
        self._http = http
        self._directory = directory
        self._ports = {name: free_port() for name in ACCOUNT}
        self._env = {name: self._environment(kafka, name) for name in ACCOUNT}
        self.children: dict[str, ChildProcess] = {}

    def _environment(self, kafka: Authorising, name: str) -> dict[str, str]:
        return {
            **os.environ,
            **kafka.environment(ACCOUNT[name]),
            "TONGBAN_ENVIRONMENT": "development",
            "TONGBAN_STORE": "mongodb://127.0.0.1:1",
            "TONGBAN_CATALOGUE": str(CATALOGUE),
            "TONGBAN_DATA": str(self._directory / name),
            "TONGBAN_PROVINCES": PROVINCE,
            "TONGBAN_INSTANCE": f"{name}-0",
            "TONGBAN_HTTP_PORT": str(self._ports[name]),
        }

    def start(self, name: str) -> None:
        argv = [sys.executable, str(BIN / f"tongban-{name}")]
        spec = ChildSpec(name, argv, self._log(name), self._env[name])
        self.children[name] = ChildProcess(spec)

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    async def problems(self, name: str) -> dict[str, str] | None:
        """Return what `/readyz` says; None if nothing answers."""
        try:
            async with self._http.get(f"http://127.0.0.1:{self._ports[name]}/readyz") as reply:
                said = (await reply.json()).get("problems", {})
                assert (reply.status == 503) == bool(said), (reply.status, said)
                return dict(said)
        except (aiohttp.ClientError, ConnectionError):
            return None

    async def until(
        self, name: str, holds: Callable[[dict[str, str]], bool], seconds: float
    ) -> None:
        said: Any = None
        try:
            async with asyncio.timeout(seconds):
                while (said := await self.problems(name)) is None or not holds(said):  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(
                f"{name} says {said} after {seconds} s:\n{self._log(name).read_text()[-3000:]}"
            )

    def refusals(self, name: str, text: str) -> list[dict[str, Any]]:
        lines = self._log(name).read_text().splitlines()
        found = [json.loads(line) for line in lines if '"kafka_refused"' in line]
        return [line for line in found if text in line["missing"]]


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[Authorising]:
    async with authorising(tmp_path) as found:
        await apply_topics(found.cluster(STACK), topics.TOPICS.values())
        yield found


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_process_without_a_permission_says_which_and_recovers_when_it_is_granted(
    kafka: Authorising, tmp_path: Path
) -> None:
    admin = kafka.broker.plain_address
    await revoke(admin, [lost for lost, _ in AT_START.values()])
    async with aiohttp.ClientSession() as http:
        processes = Processes(kafka, http, tmp_path)
        try:
            for name in ACCOUNT:
                processes.start(name)
            for name, (_, text) in AT_START.items():
                await processes.until(name, lambda _: True, STARTS_S)
                await processes.until(
                    name, lambda said, text=text: text in said.get("permissions", ""), SAYS_S
                )
                (line,) = processes.refusals(name, text)
                assert line["account"] == ACCOUNT[name]
                assert text in line["reason"]
                assert f"--allow-principal User:{ACCOUNT[name]}" in line["look_at"][0]
            await grant(admin, [lost for lost, _ in AT_START.values()])
            await _all_work(processes)
            await _lose_and_regain(processes, admin)
            assert all(child.alive for child in processes.children.values())
        finally:
            for child in processes.children.values():
                child.kill_group()


async def _all_work(processes: Processes) -> None:
    """The router is ready, the others have joined their groups. Without a store intake, whose
    group waits for it, has its permissions back at least."""
    for name in ACCOUNT:
        await processes.until(name, lambda said: "permissions" not in said, SAYS_S)
    await processes.until("router", lambda said: not said, 60)
    for name, group in (("notify", "worker"), ("printing", "worker"), ("connectors", PROVINCE)):
        await processes.until(name, lambda said, group=group: group not in said, 60)


async def _lose_and_regain(processes: Processes, admin: str) -> None:
    before = dict(processes.children)
    await revoke(admin, [lost for lost, _ in LATER.values()])
    for name, (_, text) in LATER.items():
        if name == "router":
            # It ends, and its successor waits: Faust recovers from few denials.
            async with asyncio.timeout(30):
                assert await processes.children[name].wait() == EX_TEMPFAIL
            processes.start(name)
            await processes.until(name, lambda _: True, STARTS_S)
        await processes.until(
            name, lambda said, text=text: text in said.get("permissions", ""), SAYS_S
        )
    await grant(admin, [lost for lost, _ in LATER.values()])
    await _all_work(processes)
    same = {name for name, child in before.items() if child is processes.children[name]}
    assert same == set(ACCOUNT) - {"router"}
    assert all(before[name].alive for name in same)


COMMANDS = [
    (("kiosk", "list"), topics.CONTROL_KIOSKS, ("Describe", "Read"), "Describe on topic"),
    (("dlt", "list"), "notify.dlt", ("Read", "Describe"), "Describe on topic"),
    (("province", "pause", PROVINCE, "--reason", "系统维护"), topics.CONTROL_PROVINCES,
     ("Write",), "Write on topic"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "topic", "lost", "said"), COMMANDS)
async def test_command_without_a_permission_says_which_in_one_line(
    kafka: Authorising,
    command: tuple[str, ...],
    topic: str,
    lost: tuple[str, ...],
    said: str,
) -> None:
    await revoke(
        kafka.broker.plain_address,
        [on_topic(topics.OPERATORS, topic, "Describe", "Read", "Write")]
        if "Describe" in lost
        else [on_topic(topics.OPERATORS, topic, *lost)],
    )
    process = await asyncio.create_subprocess_exec(
        str(BIN / "tongban"), *command,
        env={
            **os.environ,
            **kafka.environment(topics.OPERATORS),
            "TONGBAN_ENVIRONMENT": "development",
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(90):
        _, err = await process.communicate()
    lines = err.decode().splitlines()
    assert len(lines) == 1, lines
    assert process.returncode == EX_UNAVAILABLE
    assert f"account operators: {said} {topic}" in lines[0]
