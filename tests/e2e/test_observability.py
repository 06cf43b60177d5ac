"""Dashboards and alerts against a real Prometheus that scrapes a real run.

One run carries all assertions: first nothing is wrong, then a province, a printer and an SMS
provider fail while another province is paused.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.lobby_kit import KIOSK, Lobby, lobby_in
from tests.e2e.prometheus_kit import PrometheusServer, prometheus_on
from tools.observability.boards import DASHBOARDS
from tools.observability.grafana import ANNOTATIONS

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
WELL, DOWN, PAUSED = "320000", "510000", "370000"
PRINTED, QUERIED, ANYWHERE = "医保账户打印", "医保账户查询", "社保卡激活"
RENDERED = "社保缴费证明"
"""Printing makes its document; that of the others comes from the province."""
PROVIDER = "aurora"
EXPECTED = {
    ("ProvinceUnavailable", DOWN),
    ("PrinterTrouble", "paper"),
    ("SmsProviderDown", PROVIDER),
}


@dataclass
class Watched:
    """A lobby, and the Prometheus that scrapes its stack."""

    lobby: Lobby
    prometheus: PrometheusServer
    submitted: int = 0

    async def submit(self, name: str, province: str) -> str:
        """Hand in one request."""
        self.submitted += 1
        item = self.lobby.item(name, province)
        return await self.lobby.submit(item, f"watched-{self.submitted:06d}")


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    directory = tmp_path_factory.mktemp("watched")
    async with (
        lobby_in(directory, profile="prompt", clock=None) as lobby,
        prometheus_on(lobby.stack, directory / "prometheus", lobby.http) as prometheus,
    ):
        yield Watched(lobby, prometheus)


def asked(expr: str) -> str:
    """Return a panel's query as Grafana sends it, with everything chosen."""
    return re.sub(r"\$(job|instance)\b", ".+", expr).replace("$__rate_interval", "30s")


async def test_every_panel_shows_something_and_no_alert_fires(watched: Watched) -> None:
    queries = {
        (board.uid, panel.title, query.expr)
        for board in DASHBOARDS
        for panel in board.panels()
        for query in panel.queries
    }
    assert len(queries) > 40
    loop = asyncio.get_running_loop()
    until = loop.time() + 60
    empty = queries
    while empty and loop.time() < until:
        for name, province in ((PRINTED, WELL), (QUERIED, WELL), (RENDERED, "340000")):
            await watched.submit(name, province)
        answers = await asyncio.gather(
            *(watched.prometheus.query(asked(expr)) for *_, expr in sorted(empty))
        )
        empty = {q for q, series in zip(sorted(empty), answers, strict=True) if not series}
        await asyncio.sleep(1)
    assert empty == set()
    for query, _ in ANNOTATIONS.values():
        await watched.prometheus.query(query)
    assert await watched.prometheus.fired() == set()


async def test_faults_fire_their_alerts_alone_and_paused_province_is_silent(
    watched: Watched,
) -> None:
    lobby = watched.lobby
    await _tongban(lobby, "province", "pause", PAUSED, "--reason", "系统维护")
    await lobby.faults(f"{lobby.stack.gateways}/faults/{DOWN}", down=True)
    await lobby.faults(f"{lobby.stack.devices}/faults/printers/{KIOSK}", state="paper_out")
    await lobby.faults(f"{lobby.stack.devices}/faults/sms/{PROVIDER}", down=True)
    held_back = [
        await watched.submit(ANYWHERE, province) for province in (DOWN, PAUSED) for _ in range(3)
    ]
    sheet = await watched.submit(PRINTED, WELL)
    loop = asyncio.get_running_loop()
    until = loop.time() + 90
    while not await watched.prometheus.fired() >= EXPECTED and loop.time() < until:
        await watched.submit(QUERIED, WELL)  # messages, by which a provider is found to be down
        await asyncio.sleep(1)
    # An alert that waits for ten minutes, and began to hold with these, fires within 20 s.
    await _seconds_later(watched.prometheus, 20)
    assert await watched.prometheus.fired() == EXPECTED
    paused = await watched.prometheus.query(
        f'tongban_connector_waiting_records{{province="{PAUSED}", cause="paused"}}'
    )
    assert [value for _, value in paused] == [3]

    for url in (lobby.stack.gateways, lobby.stack.devices):
        async with lobby.http.delete(f"{url}/faults") as reply:
            assert reply.status < 300
    await _tongban(lobby, "province", "resume", PAUSED)
    for request_id in (*held_back, sheet):
        await lobby.when(request_id, "completed")


async def _seconds_later(prometheus: PrometheusServer, seconds: float) -> None:
    """Wait until Prometheus' clock, by which alerts wait, is ahead by so many seconds."""
    (_, began), *_ = await prometheus.query("time()")
    while (await prometheus.query("time()"))[0][1] < began + seconds:  # noqa: ASYNC110
        await asyncio.sleep(0.5)


async def _tongban(lobby: Lobby, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("tongban"), *arguments,
        env={"TONGBAN_KAFKA": lobby.stack.kafka}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said
