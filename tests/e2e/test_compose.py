"""The deployment of docker-compose.yml with images of this checkout, from kiosk to paper."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.chain_kit import until
from tongban_devstack.ports import free_port
from tongban_ops.catalogue.loader import load

ROOT = Path(__file__).parents[2]
SERVICES = ("intake", "router", "connectors", "printing", "notify")
IMAGES = (*SERVICES, "ops", "outside", "kafka", "store")
UP_WITHIN_S = 240
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def _compose() -> str:
    """Return a docker compose; skip the test, with the reason, where none can be used."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command")
    if _ended("docker", "version").returncode:
        pytest.skip("no Docker daemon answers")
    found = _ended(str(ROOT / "tools/compose/find"))
    if found.returncode:
        pytest.skip(found.stderr.strip())
    for image in IMAGES:
        name = f"tongban/{image}:dev"
        if _ended("docker", "image", "inspect", name).returncode:
            pytest.skip(f"the image {name} is not here: `make images`")
    return found.stdout.strip()


def _ended(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@dataclass
class Deployment:
    """A running deployment of its own project, network and volumes."""

    compose: list[str]
    env: dict[str, str]
    intake: str
    devices: str

    async def run(self, *arguments: str, within: float = 60) -> str:
        process = await asyncio.create_subprocess_exec(
            *self.compose, *arguments, cwd=ROOT, env=self.env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), within)
        assert process.returncode == 0, f"{arguments}: {out.decode()}{err.decode()[-3000:]}"
        return out.decode()


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    compose = _compose()
    ports = {name: free_port() for name in ("INTAKE", "GATEWAYS", "DEVICES")}
    env = {
        **os.environ,
        **{f"{name}_PORT": str(port) for name, port in ports.items()},
        "KAFKA_IMAGE": "tongban/kafka:dev",
        "MONGO_IMAGE": "tongban/store:dev",
        # The store of tests names itself in a way that no other container can reach.
        "TONGBAN_STORE": "mongodb://mongodb:27017/?directConnection=true",
    }
    made = Deployment(
        [compose, "-p", f"tongban-test-{uuid.uuid4().hex[:8]}", "--profile", "outside"],
        env,
        f"http://127.0.0.1:{ports['INTAKE']}",
        f"http://127.0.0.1:{ports['DEVICES']}",
    )
    try:
        await made.run("up", "-d", "--quiet-pull", within=UP_WITHIN_S)
        yield made
    finally:
        await made.run("down", "--volumes", "--timeout", "20", within=120)


async def _healthy(deployment: Deployment) -> bool:
    lines = (await deployment.run("ps", "-a", "--format", "json")).splitlines()
    states = {each["Service"]: each for each in map(json.loads, lines)}
    return all(states[name]["Health"] == "healthy" for name in (*SERVICES, "gateways", "devices"))


async def test_request_at_compose_deployment_is_printed_and_notified_once(
    deployment: Deployment,
) -> None:
    await until(lambda: _healthy(deployment), "all services to be healthy", UP_WITHIN_S)

    async def login_line() -> bool:
        return "token=" in await deployment.run("logs", "--no-log-prefix", "kiosk-login")

    await until(login_line, "kiosk-login to print the address")
    printed = await deployment.run("logs", "--no-log-prefix", "kiosk-login")
    address = re.search(r"Open (http://\S+)", printed)
    assert address is not None, printed
    token = address[1].partition("token=")[2]
    # By default the jar takes no cookie of an address without a name.
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"}, cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as http:
        async with http.get(address[1]) as page:
            assert page.status == 200
            assert page.url.path == "/kiosk"
        request_id = await _submit(http, deployment)
        request: dict[str, Any] = {}

        async def printed_out() -> bool:
            async with http.get(f"{deployment.intake}/v1/requests/{request_id}") as reply:
                request.update(await reply.json())
            return [order["status"] for order in request["print_orders"]] == ["printed"]

        await until(printed_out, f"{request_id} to be printed", 120)
        assert request["status"] == "completed"
        assert await _counts(http, deployment, "printed", request_id) == [1]

        async def notified() -> bool:
            return bool(await _counts(http, deployment, "messages", request_id))

        await until(notified, f"the message about {request_id}")
        assert set(await _counts(http, deployment, "messages", request_id)) == {1}
    await _is_confined(deployment)


async def _submit(http: aiohttp.ClientSession, deployment: Deployment) -> str:
    (item,) = (
        item
        for item in load(ROOT / "catalogue")
        if (item.name, item.province) == ("社保缴费证明", "340000")
        and "cross_province" in item.zones
    )
    body = {
        "item_code": item.code,
        "channel": "self_service",
        "applicant": item.example_applicant,
        "form": item.example_form,
        "print": True,
    }
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    url = f"{deployment.intake}/v1/requests"
    async with http.post(url, json=body, headers=headers) as reply:
        answer = await reply.json()
        assert reply.status == 202, answer
    return str(answer["request_id"])


async def _counts(
    http: aiohttp.ClientSession, deployment: Deployment, ledger: str, request_id: str
) -> list[int]:
    async with http.get(f"{deployment.devices}/{ledger}") as reply:
        assert reply.status == 200
        return [line["count"] for line in await reply.json() if line["request_id"] == request_id]


async def _is_confined(deployment: Deployment) -> None:
    """No service runs as root, writes to its image, keeps a capability or lacks a memory limit."""
    for service in SERVICES:
        container = (await deployment.run("ps", "-q", service)).strip()
        inspected = await asyncio.to_thread(_ended, "docker", "inspect", container)
        (found,) = json.loads(inspected.stdout)
        host = found["HostConfig"]
        assert found["Config"]["User"] == "10001:10001", service
        assert host["ReadonlyRootfs"] is True, service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
