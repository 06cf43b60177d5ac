"""A router that starts before its broker and its topics waits for them, and says so."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

from tests.integration.kafka.kit import eventually
from tongban_common.topics import ROUTER_CHANGELOG, TOPICS
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import apply_topics
from tongban_router.faust_runtime.consumer import SOURCES

BIN = Path(sys.executable).parent


async def test_router_started_without_broker_and_topics_waits_for_them(tmp_path: Path) -> None:
    broker_port, port = free_port(), free_port()
    settings = {
        "TONGBAN_KAFKA": f"127.0.0.1:{broker_port}",
        "TONGBAN_HTTP_PORT": str(port),
        "TONGBAN_INSTANCE": "router-0",
        "TONGBAN_DATA": str(tmp_path / "data"),
    }
    argv = [str(BIN / "tongban-router")]
    log = tmp_path / "router.log"
    router = ChildProcess(ChildSpec("router", argv, log, {**os.environ, **settings}))

    async def probe(name: str) -> tuple[int, str]:
        try:
            async with http.get(f"http://127.0.0.1:{port}/{name}") as reply:
                return reply.status, await reply.text()
        except aiohttp.ClientError:
            return 0, ""

    async with aiohttp.ClientSession() as http:
        try:
            await eventually(lambda: log.read_text().count("router.kafka_not_reached") >= 2)
            assert (await probe("livez"))[0] == 200
            status, why = await probe("readyz")
            assert (status, "no broker answers" in why) == (503, True)
            async with EmbeddedKafka(tmp_path / "kafka", port=broker_port) as broker:
                await eventually(lambda: "router.topics_missing" in log.read_text())
                status, why = await probe("readyz")
                assert (status, "topics are missing: requests.commands" in why) == (503, True)
                needed = [TOPICS[name] for name in (*SOURCES, ROUTER_CHANGELOG)]
                await apply_topics(broker.address, needed)

                async with asyncio.timeout(90):
                    while (await probe("readyz"))[0] != 200:
                        assert router.alive, router.log_tail()
                        await asyncio.sleep(0.1)
                assert "Traceback" not in log.read_text()
                assert await router.stop(20) == 0
        finally:
            router.kill_group()
