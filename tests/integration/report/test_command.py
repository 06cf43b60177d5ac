"""`tongban report` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench._fact_tables import write
from tongban_common.exit_codes import EX_NOINPUT, EX_UNAVAILABLE
from tongban_ops.cli.report import INSTALL

TONGBAN = Path(sys.executable).with_name("tongban")
CPU_LIMIT_S = 30
"""Limit for the report on 20,000 requests, which took 8 s of one core, nearly all for drawing."""


def _run(*arguments: str | Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-c", code] if code else [TONGBAN]
    return subprocess.run(
        [*start, *arguments], capture_output=True, text=True, check=False, timeout=170
    )


def test_report_of_twenty_thousand_requests_stays_in_its_limit(tmp_path: Path) -> None:
    write(tmp_path / "facts", requests=20_000)
    target = tmp_path / "new" / "report.html"
    measured = (
        "import resource, sys; from tongban_ops.cli.main import main\n"
        "try: main()\n"
        "finally:\n"
        " used = resource.getrusage(resource.RUSAGE_SELF)\n"
        " print(used.ru_utime + used.ru_stime)"
    )
    done = _run("report", "--from", tmp_path / "facts", "--to", target, code=measured)
    assert done.returncode == 0, done.stderr
    said, seconds = done.stdout.split("\n")[:2]
    assert said.startswith(str(target))
    assert float(seconds) < CPU_LIMIT_S
    assert target.read_text().endswith("</html>\n")
    assert [each.name for each in target.parent.iterdir()] == ["report.html"]


def test_directory_without_facts_ends_with_66_and_leaves_the_old_page(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    done = _run("report", "--from", tmp_path, "--to", target)
    assert done.returncode == EX_NOINPUT
    assert "none of the fact tables" in done.stderr
    assert target.read_text() == "old"


def test_missing_package_ends_with_69_and_says_what_to_install(tmp_path: Path) -> None:
    without = (
        "import sys; sys.modules['duckdb'] = None\nfrom tongban_ops.cli.main import main; main()"
    )
    done = _run("report", "--from", tmp_path, code=without)
    assert done.returncode == EX_UNAVAILABLE
    assert INSTALL in done.stderr
    assert "duckdb" in done.stderr
    assert "Traceback" not in done.stderr
