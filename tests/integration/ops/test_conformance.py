"""The conformance kit against the simulated provinces, of every manner."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.integration.devstack.simulation_kit import (
    HONOURS,
    REFUSES,
    SECRET,
    TWICE,
    Simulation,
    simulation,
)
from tongban_common.clock import CHINA, BusinessClock
from tongban_ops.cli.main import application
from tongban_ops.conformance.checks import selected
from tongban_ops.conformance.options import NOBODY, Example, Options
from tongban_ops.conformance.runner import examine
from tongban_ops.conformance.verdicts import ConformanceReport, Outcome

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=CHINA)
CHANCE = {"withdraw-final", "result", "callback", "callback-repeated", "document"}
"""One in ten queries is not answered at once, so that once in a thousand times none is; and a third
of the provinces make documents of their own."""
PROVINCES = {
    HONOURS: ("rest", "honoured"),
    REFUSES: ("rest", "`duplicate`"),
    TWICE: ("rest", "acts again"),
    "140000": ("rest_callback", "honoured"),
    "150000": ("rest_callback", "`duplicate`"),
    "210000": ("rest_callback", "acts again"),
    "220000": ("soap", "honoured"),
    "230000": ("soap", "`duplicate`"),
    "310000": ("soap", "acts again"),
}
"""One of each protocol and manner: how it is spoken to, and what it does with a repeat."""
EXAMPLES = (
    Example("1", "社保卡临时挂失", "handle", NOBODY, {}),
    Example("2", "社保缴费证明", "print", NOBODY, {}),
    Example("3", "医保账户查询", "query", NOBODY, {}),
)


@pytest.fixture(scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    """Monday at ten: all are open, what is handled stays so for hours."""
    env = {
        "TONGBAN_PROFILE": "realistic",
        "TONGBAN_CLOCK": BusinessClock(MONDAY, time.time(), 1).describe(),
    }
    directory = tmp_path_factory.mktemp("conformance")
    async with simulation("gateways", directory, **env) as place:
        yield place


async def command(*arguments: str, secret: str = SECRET) -> Result:
    """The command, in a thread of its own as it runs a loop of its own."""
    env = {"TONGBAN_GATEWAY_SECRET": secret, "COLUMNS": "300"}
    argv = ["conformance", *arguments]
    return await asyncio.to_thread(CliRunner(env=env).invoke, application(), argv)


@pytest.fixture(scope="module")
async def reports(gateways: Simulation) -> dict[str, ConformanceReport]:
    """All at the same time: most of a run is waiting."""

    async def report(province: str, protocol: str) -> ConformanceReport:
        options = Options(
            url=f"{gateways.url}/p/{province}{'/soap' if protocol == 'soap' else ''}",
            protocol=protocol,
            province=province,
            secret=SECRET,
            examples=EXAMPLES,
            idle_s=0.5,
            wait_s=10,
        )
        return await examine(options, selected(protocol))

    results = await asyncio.gather(*(report(code, p) for code, (p, _) in PROVINCES.items()))
    return dict(zip(PROVINCES, results, strict=True))


@pytest.mark.parametrize("province", PROVINCES)
async def test_simulated_provinces_pass(
    reports: dict[str, ConformanceReport], province: str
) -> None:
    report = reports[province]
    notes = {verdict.name: verdict.note for verdict in report.verdicts}
    assert report.ok, notes
    assert set(report.of(Outcome.SKIPPED)) - CHANCE == {"throttling"}, notes
    assert PROVINCES[province][1] in notes["repeat"]
    assert report.clean_up.left == []
    assert report.clean_up.withdrawn, "what was open is withdrawn"


async def test_checks_that_depend_on_chance_hold_for_one_province_at_least(
    reports: dict[str, ConformanceReport],
) -> None:
    held = {name for report in reports.values() for name in report.of(Outcome.HOLDS)}
    assert held >= CHANCE


async def test_applications_left_open_by_the_checks_are_withdrawn(
    gateways: Simulation, reports: dict[str, ConformanceReport]
) -> None:
    assert reports[HONOURS].clean_up.withdrawn
    for request_id in reports[HONOURS].clean_up.withdrawn:
        _, known = await gateways.look_up(HONOURS, request_id)
        assert known["withdrawn"]


async def test_the_command_tells_people_programs_and_ci(
    gateways: Simulation, tmp_path: Path
) -> None:
    url = f"{gateways.url}/p/{HONOURS}"
    junit = tmp_path / "junit.xml"
    arguments = ["--protocol", "rest", "--idle", "0.5", "--junit", str(junit)]
    told = await command(url, *arguments, "--json")
    assert told.exit_code == 0, told.stdout
    said = json.loads(told.stdout)
    assert said["ok"] is True
    assert [check["name"] for check in said["checks"]] == [check.name for check in selected("rest")]
    suite = ET.fromstring(junit.read_bytes())[0]  # noqa: S314 - our own
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == [check.name for check in selected("rest")]
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == "0"
    assert cases["throttling"].find("skipped") is not None
    assert "honoured" in (cases["repeat"].findtext("system-out") or "")


async def test_wrong_secret_is_reported_and_ends_with_exit_code_1(
    gateways: Simulation, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    told = await command(
        f"{gateways.url}/p/{HONOURS}", "--protocol", "rest", "--check", "submit",
        "--junit", str(junit), secret="another",
    )  # fmt: skip
    assert told.exit_code == 1
    assert "does not hold" in told.stdout
    suite = ET.fromstring(junit.read_bytes())[0]  # noqa: S314 - our own
    outcomes = [(case.get("name"), case[0].tag) for case in suite.iter("testcase")]
    assert outcomes == [("answers-signed", "failure"), ("submit", "skipped")]


async def test_throttling_is_provoked_when_asked_for(gateways: Simulation) -> None:
    await gateways.fault(TWICE, rate_per_s=40)
    told = await command(
        f"{gateways.url}/p/{TWICE}", "--protocol", "rest", "--check", "throttling",
        "--rate-limit", "400", "--json",
    )  # fmt: skip
    await gateways.mend()
    verdict = json.loads(told.stdout)["checks"][-1]
    assert (told.exit_code, verdict["outcome"]) == (0, "holds"), verdict
    assert verdict["note"].startswith("throttled")
