"""Watch pods through the API server, and note when each became what."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from tools.cluster.node.layout import NAMESPACE, Layout


@dataclass(slots=True)
class PodLife:
    """Times of one pod, by `time.monotonic()` of this process; None: not seen yet."""

    name: str
    uid: str
    grace_s: int
    created: float
    running: float | None = None
    ready: float | None = None
    deleting: float | None = None
    gone: float | None = None
    exit_code: int | None = None
    restarts: int = 0


class PodWatch:
    """Async context manager that keeps a PodLife for every pod from its beginning on."""

    def __init__(self, layout: Layout) -> None:
        config = json.loads(layout.kubeconfig.read_text())
        server = config["clusters"][0]["cluster"]
        self._url = f"{server['server']}/api/v1/namespaces/{NAMESPACE}/pods"
        self._tls = ssl.create_default_context(cafile=server["certificate-authority"])
        self._token = config["users"][0]["user"]["token"]
        self.lives: dict[str, PodLife] = {}
        """By uid."""
        self._http: aiohttp.ClientSession
        self._watching: asyncio.Task[None]

    async def __aenter__(self) -> PodWatch:
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**22,  # one pod is one line
        )
        self._watching = asyncio.create_task(self._watch(), name="pod-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])
        await self._http.close()

    def check(self) -> None:
        """Raise what ended the watch, if something did."""
        if self._watching.done():
            self._watching.result()

    async def _watch(self) -> None:
        options = {"watch": "1", "timeoutSeconds": "7200"}
        async with self._http.get(self._url, params=options) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                note(self.lives, json.loads(line), time.monotonic())


def note(lives: dict[str, PodLife], event: dict[str, Any], now: float) -> None:
    """Update the life of the pod that an event of a watch is about."""
    pod = event["object"]
    if pod.get("kind") != "Pod":
        return
    meta, status = pod["metadata"], pod["status"]
    life = lives.setdefault(
        meta["uid"],
        PodLife(
            meta["name"], meta["uid"], pod["spec"].get("terminationGracePeriodSeconds", 0), now
        ),
    )
    for container in status.get("containerStatuses", ()):
        life.restarts = container["restartCount"]
        if "running" in container["state"] and life.running is None:
            life.running = now
        if ended := container["state"].get("terminated"):
            life.exit_code = ended["exitCode"]
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if conditions.get("Ready") == "True" and life.ready is None:
        life.ready = now
    if "deletionTimestamp" in meta and life.deleting is None:
        life.deleting = now
    if event["type"] == "DELETED":
        life.gone = now
