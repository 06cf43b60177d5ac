"""What the commands write where not every character can be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TONGBAN = [sys.executable, "-c", "from tongban_ops.cli.main import main; main()"]


def tongban(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    inherited = {
        name: os.environ[name] for name in os.environ if not name.startswith(("LC_", "PYTHON"))
    }
    return subprocess.run(
        [*TONGBAN, *arguments],
        env={**inherited, "TONGBAN_KAFKA": "127.0.0.1:1", **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
def test_every_command_writes_in_every_encoding(environment: dict[str, str]) -> None:
    done = tongban("topics", "list", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"compacted" in done.stdout
    refused = tongban("province", "pause", "火星", **environment)
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr


def test_json_keeps_its_content_in_ascii(tmp_path: Path) -> None:
    tmp_path = tmp_path / "上海𠮷"
    tmp_path.mkdir()
    (tmp_path / "provinces.yaml").touch()
    wide = tongban("catalogue", "check", str(tmp_path), "--json", PYTHONIOENCODING="utf-8")
    narrow = tongban("catalogue", "check", str(tmp_path), "--json", PYTHONIOENCODING="ascii")
    assert narrow.returncode == wide.returncode == 1
    assert narrow.stdout.isascii()
    assert not wide.stdout.isascii()
    assert json.loads(narrow.stdout) == json.loads(wide.stdout)


def test_pipe_that_is_closed_early_ends_without_a_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" "$1" "$2" topics list --json | head -c 3', *TONGBAN],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (len(done.stdout), done.stderr) == (3, b"")
