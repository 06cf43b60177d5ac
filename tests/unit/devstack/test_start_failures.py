"""A stack that cannot start ends its command with one line, for each command that starts one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongban_common.exit_codes import EX_UNAVAILABLE
from tongban_devstack.embedded import JarsUnavailableError
from tongban_devstack.stack import Stack
from tongban_ops.cli.main import application


@pytest.mark.parametrize(
    "command", [["up"], ["demo", "--once"], ["load", "--rate", "1", "--seconds", "1"]]
)
def test_command_without_a_broker_to_run_ends_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_stack: Stack) -> Stack:
        raise JarsUnavailableError("Apache Kafka cannot be downloaded")

    monkeypatch.setattr(Stack, "__aenter__", fail)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TONGBAN_CATALOGUE", str(Path(__file__).parents[3] / "catalogue"))
    ended = CliRunner().invoke(application(), command)
    assert ended.exit_code == EX_UNAVAILABLE, ended.output
    assert ended.stderr.strip().splitlines()[-1] == "Apache Kafka cannot be downloaded"
    assert "Traceback" not in ended.output
