"""`make` chooses an interpreter that can do the set-up, or says in one line what is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FIND = Path(__file__).parents[3] / "tools" / "find-python"


def _interpreter(directory: Path, name: str, version: str, *, venv: bool = True) -> None:
    """Put a fake interpreter on the PATH that answers the two questions of `find-python`."""
    path = directory / name
    path.write_text(
        f'#!/bin/sh\ncase "$2" in\n*version_info*) echo {version} ;;\n'
        f"*) exit {0 if venv else 1} ;;\nesac\n"
    )
    path.chmod(0o755)


def _find(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(FIND)],
        env={**os.environ, "PATH": str(directory)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_newest_suitable_interpreter_is_chosen(tmp_path: Path) -> None:
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        _interpreter(tmp_path, name, name.removeprefix("python"))
    assert _find(tmp_path).stdout.strip() == str(tmp_path / "python3.13")


def test_plain_python3_is_chosen_where_its_version_is_suitable(tmp_path: Path) -> None:
    _interpreter(tmp_path, "python3", "3.12")
    assert _find(tmp_path).stdout.strip() == str(tmp_path / "python3")


def test_interpreter_without_venv_is_passed_over_for_one_that_has_it(tmp_path: Path) -> None:
    _interpreter(tmp_path, "python3.13", "3.13", venv=False)
    _interpreter(tmp_path, "python3.11", "3.11")
    assert _find(tmp_path).stdout.strip() == str(tmp_path / "python3.11")


@pytest.mark.parametrize(
    ("version", "venv", "told"),
    [
        ("3.11", False, "apt-get install python3.11-venv"),
        ("3.14", True, "python3 is 3.14"),
        ("3.9", True, "Python 3.11, 3.12 or 3.13 is needed"),
    ],
)
def test_unsuitable_interpreter_is_one_line_that_names_the_remedy(
    version: str, venv: bool, told: str, tmp_path: Path
) -> None:
    _interpreter(tmp_path, "python3", version, venv=venv)
    found = _find(tmp_path)
    assert found.returncode == 2
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1
    assert told in found.stderr


def test_missing_interpreter_is_one_line_that_names_the_versions(tmp_path: Path) -> None:
    found = _find(tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("Python 3.11, 3.12 or 3.13 is needed: none is on the PATH")
