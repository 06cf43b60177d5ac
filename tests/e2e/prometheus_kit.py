"""A Prometheus of a test's own, which scrapes a stack and evaluates our rules faster."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_devstack.stack import SERVICES, Stack
from tools.observability.rules import rule_files

PROMETHEUS = shutil.which("prometheus")
FASTER = 30.0
"""Windows and waits of the rules are divided by it: an alert that waits for 10 minutes fires after
20 seconds. Thresholds stay as they are."""
_EVERY = "2s"
Series = list[tuple[dict[str, str], float]]


class PrometheusServer:
    """A client of the running server."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def query(self, expr: str) -> Series:
        """Return labels and value of each series; NaN is left out, since a panel shows nothing."""
        async with self._http.get(f"{self.url}/api/v1/query", params={"query": expr}) as reply:
            answer: dict[str, Any] = await reply.json()
        assert answer["status"] == "success", (expr, answer)
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        values = [(each["metric"], float(each["value"][1])) for each in data["result"]]
        return [(labels, value) for labels, value in values if not math.isnan(value)]

    async def fired(self) -> set[tuple[str, str]]:
        """Return every alert that has fired since the start, with what it is about."""
        series = await self.query('max_over_time(ALERTS{alertstate="firing"}[1h])')
        about = ("province", "provider", "reason", "group", "job", "status", "topic")
        return {
            (labels["alertname"], next((labels[name] for name in about if name in labels), ""))
            for labels, _ in series
        }


@asynccontextmanager
async def prometheus_on(
    stack: Stack, directory: Path, http: aiohttp.ClientSession
) -> AsyncIterator[PrometheusServer]:
    """Run a server that scrapes every process of the stack, one job for each service."""
    if PROMETHEUS is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    directory.mkdir(parents=True)  # noqa: ASYNC240 - small files, before anything runs
    for name, text in rule_files(faster=FASTER).items():
        (directory / name).write_text(text)
    jobs = [
        {
            "job_name": service,
            "static_configs": [
                {"targets": [stack._url(name).removeprefix("http://")]}
                for name in stack.replicas(service)
            ],
        }
        for service in SERVICES
    ]
    config = {
        "global": {
            "scrape_interval": _EVERY, "scrape_timeout": _EVERY, "evaluation_interval": _EVERY,
        },
        "rule_files": [str(directory / "*.yaml")],
        "scrape_configs": jobs,
    }  # fmt: skip
    # JSON is YAML.
    file = directory / "prometheus.json"
    file.write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    argv = [
        PROMETHEUS,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    child = ChildProcess(ChildSpec("prometheus", argv, directory / "prometheus.log", {}))
    try:
        await _ready(f"http://{address}/-/ready", http)
        yield PrometheusServer(f"http://{address}", http)
    finally:
        child.send_signal(15)
        await asyncio.wait_for(child.wait(), 20)


async def _ready(url: str, http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with http.get(url) as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
