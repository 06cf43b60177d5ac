"""What the command line says to those who ask wrongly, and to programs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tongban_common.topics import TOPICS
from tongban_ops.cli.group import Commands
from tongban_ops.cli.main import application

HEAVY = ("aiokafka", "aiohttp", "pydantic", "structlog", "motor", "fastapi", "faust", "yaml")


def test_command_does_not_import_what_other_commands_need() -> None:
    script = f"""
import sys
from tongban_ops.cli.group import Commands
from tongban_ops.cli.main import application
sys.argv = ["tongban", "--help"]
try:
    application()()
finally:
    print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stderr.strip() == ""
    assert "documents" in done.stdout


def test_version_is_that_of_every_distribution() -> None:
    answer = CliRunner().invoke(application(), ["--version"])
    assert answer.exit_code == 0
    root = Path(__file__).parents[3]
    files = [root / "pyproject.toml", *root.glob("*/*/pyproject.toml")]
    versions = {tomllib.loads(file.read_text())["project"]["version"] for file in files}
    assert len(files) > 10
    assert answer.output == f"tongban {versions.pop()}\n"
    assert not versions


def test_every_command_is_there_and_told_alike() -> None:
    """In the list of all, and by itself: what is imported late is found, and its verbs with it."""
    listed = get_command(application())
    assert isinstance(listed, Commands)
    for name, stand_in in listed.commands.items():
        answer = CliRunner().invoke(application(), [name, "--help"])
        assert answer.exit_code == 0, (name, answer.output)
        assert f"tongban {name}" in answer.stdout
        assert stand_in.help
    assert {"topics", "dlt", "keys", "documents", "conformance", "up"} <= set(listed.commands)


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ("up --profile strict", "prompt or realistic"),
        ("up --clock noon", "2026-03-02T09:00:00+08:00@60"),
        ("up --replicas web=2", "intake=2"),
        ("up --replicas intake=0", "intake=2"),
        ("up --port 80", "--help"),
        ("topic list", "topics"),
        ("topics make", "list, apply"),
        ("province pause 上海滩", "310000"),
        ("province pause 510000 --for soon", "90s, 15m, 2h or 1d"),
        ("province pause 510000 --until 2020-01-01", "is over"),
        ("dlt show printing", "printing@17"),
        ("dlt list --group printer", "printing"),
        ("dlt list --since yesterday", "2h (ago)"),
        ("dlt list --since 1h --until 2h", "is not before --until"),
        ("dlt list --source requests.submited", "tongban topics list"),
        ("dlt replay --request 7", "r-1a2b"),
        ("dlt replay", "--all"),
        ("trace r-1", "no request id"),
        ("request end", "resume, fail"),
    ],
)
def test_wrong_argument_is_answered_with_the_valid_ones(arguments: str, right: str) -> None:
    answer = CliRunner(env={"COLUMNS": "300"}).invoke(application(), arguments.split())
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert right in re.sub(r"\s+", " ", answer.stderr)


def test_without_a_catalogue_there_is_no_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TONGBAN_CATALOGUE", raising=False)
    answer = CliRunner().invoke(application(), ["load", "--rate", "5", "--seconds", "2"])
    assert answer.exit_code == 2
    assert "name one by TONGBAN_CATALOGUE" in answer.stderr


def test_a_key_for_a_kiosk_that_is_refused_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object, changes: dict[str, Callable[[None], object]]) -> None:
        for make in changes.values():
            make(None)

    async def there(_: str) -> None:
        pass

    monkeypatch.setattr("tongban_ops.cli.console.reach", there)
    monkeypatch.setattr("tongban_intake.access.enrolment.register.Register.change", refuse)
    key = tmp_path / "key.pem"
    enrol = ["kiosk", "enrol", "k-7", "--generate", "--out", str(key)]
    answer = CliRunner().invoke(application(), enrol)
    assert answer.exit_code == 1
    assert "at which branch" in answer.stderr
    assert not key.exists()
    key.write_text("another's")
    assert CliRunner().invoke(application(), enrol).exit_code == 1
    assert key.read_text() == "another's"


def test_topics_list_for_programs() -> None:
    answer = CliRunner().invoke(application(), ["topics", "list", "--json"])
    assert answer.exit_code == 0
    told = {topic["name"]: topic for topic in json.loads(answer.stdout)}
    assert list(told) == list(TOPICS)
    assert told["requests.submitted"]["partitions"] == 12


@pytest.mark.parametrize(
    "arguments",
    [
        "topics apply",
        "province list",
        "province pause 510000",
        "province resume 510000",
        "kiosk list",
        "kiosk revoke k-1",
        "assistant list",
        "dlt list",
        "dlt replay --all",
        f"trace r-{'0' * 29}",
    ],
)
def test_that_the_broker_is_away_is_told(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGBAN_KAFKA", "127.0.0.1:1")
    answer = CliRunner().invoke(application(), arguments.split())
    assert answer.exit_code == 69
    assert answer.stdout == ""
    assert answer.stderr == "127.0.0.1:1: no broker answers\n"


def test_topics_apply_twice_changes_nothing(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGBAN_KAFKA", kafka)
    for _ in range(2):
        answer = CliRunner().invoke(application(), ["topics", "apply", "--json"])
        assert answer.exit_code == 0
    assert set(json.loads(answer.stdout)["unchanged"]) == set(TOPICS)
