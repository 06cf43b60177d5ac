"""`tongban documents verify`: what is said of a file for each thing that intake may answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from tongban_common.domain.verification import file_code
from tongban_intake.api.examples import VERIFIED
from tongban_ops.cli.main import application

PDF = b"%PDF-1.7 as it was issued"
SHA256 = hashlib.sha256(PDF).hexdigest()


class Intake:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.answer: tuple[int, str, str] = (404, "text/html", "<h1>nothing here</h1>")

    async def verify(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["code"])
        status, kind, text = self.answer
        return web.Response(status=status, content_type=kind, text=text)


@pytest.fixture
async def intake() -> AsyncIterator[Intake]:
    served = Intake()
    app = web.Application()
    app.router.add_get("/v1/verify/{code}", served.verify)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pdf"
    path.write_bytes(PDF)
    return path


async def verify(file: Path, url: str, *more: str) -> Result:
    arguments = ["documents", "verify", str(file), "--intake", url, *more]
    return await asyncio.to_thread(CliRunner().invoke, application(), arguments)


def known(sha256: str) -> tuple[int, str, str]:
    return 200, "application/json", json.dumps({**VERIFIED, "sha256": sha256})


UNKNOWN = (404, "application/problem+json", json.dumps({"title": "Not found", "status": 404}))


async def test_a_genuine_file_is_named(intake: Intake, file: Path) -> None:
    intake.answer = known(SHA256)
    told = await verify(file, intake.url + "/")
    assert (told.exit_code, told.stderr) == (0, "")
    for part in ("is genuine", "社保缴费证明", "340000", "2026-03-02", SHA256):
        assert part in told.stdout
    for_programs = await verify(file, intake.url, "--json")
    about = {name: value for name, value in VERIFIED.items() if name != "genuine"}
    assert json.loads(for_programs.stdout) == {"genuine": True, **about, "sha256": SHA256}
    assert intake.asked == [file_code(SHA256)] * 2


@pytest.mark.parametrize(
    "answer",
    [UNKNOWN, known(SHA256[:16] + "0" * 48)],
    ids=["unknown", "another that begins so"],
)
async def test_a_file_that_is_not_ours(
    intake: Intake, file: Path, answer: tuple[int, str, str]
) -> None:
    intake.answer = answer
    told = await verify(file, intake.url)
    assert told.exit_code == 1
    assert "is no document of" in told.stdout
    assert "社保缴费证明" not in told.stdout
    for_programs = await verify(file, intake.url, "--json")
    assert for_programs.exit_code == 1
    assert json.loads(for_programs.stdout) == {"genuine": False, "sha256": SHA256}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, "text/html", "<h1>nothing here</h1>"), "is this its URL?"),
        ((200, "application/json", '{"ok": true}'), "is this its URL?"),
        ((200, "text/html", "<h1>welcome</h1>"), "is this its URL?"),
        (
            (503, "application/problem+json", '{"title": "Unavailable", "detail": "later"}'),
            "503: later",
        ),
    ],
)
async def test_answer_that_is_no_verdict_ends_with_exit_code_69(
    intake: Intake, file: Path, answer: tuple[int, str, str], why: str
) -> None:
    intake.answer = answer
    told = await verify(file, intake.url)
    assert (told.exit_code, told.stdout) == (69, "")
    assert told.stderr.startswith(f"{intake.url}: ")
    assert why in told.stderr


async def test_unreachable_intake_and_missing_file_are_reported(file: Path, tmp_path: Path) -> None:
    told = await verify(file, "http://127.0.0.1:1")
    assert told.exit_code == 69
    assert "no answer" in told.stderr
    told = await verify(tmp_path / "nothing.pdf", "http://127.0.0.1:1")
    assert (told.exit_code, told.stdout) == (66, "")
    assert "nothing.pdf: No such file" in told.stderr
