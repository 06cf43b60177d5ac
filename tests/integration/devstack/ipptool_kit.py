"""Runs the conformance suites of CUPS's `ipptool` and reads their results."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

IPPTOOL = shutil.which("ipptool")
SUITES = Path("/usr/share/cups/ipptool")
FILES = (
    "document-a4.pdf",
    "document-letter.pdf",
    "document-a4.ps",
    "document-letter.ps",
    "color.jpg",
    "gray.jpg",
)
"""Files that the suites name and Debian does not ship. `ipptool` opens each, also for tests that it
skips."""
_RESULT = re.compile(r" {4}(\S.*?) *\[(PASS|FAIL|SKIP)\]")
_DETAIL = " " * 8


def missing() -> str | None:
    """Return why no suite can be run; None if one can."""
    if IPPTOOL is None or not (SUITES / "ipp-2.0.test").is_file():
        return "ipptool and its suites are missing: apt-get install cups-ipp-utils"
    return None


@dataclass(frozen=True)
class SuiteReport:
    """The names of a suite's tests by result. `ipptool` shortens a name to 68 characters."""

    passed: list[str]
    skipped: list[str]
    failed: dict[str, list[str]]
    """Tests that failed, each with what `ipptool` reports of it."""


async def run_suite(
    version: str, printer: str, document: bytes, directory: Path, *, user: str = "suite"
) -> SuiteReport:
    """Run the suite of an IPP version ("1.1") as a client of that version, and return its report.

    Args:
        document: is every file that the suite prints. A suite looks for files beside itself, so
            `directory` receives links to all suites.
        user: requesting-user-name. The suites expect that no other client has jobs of this name.
    """
    _lay_out(directory, document)
    process = await asyncio.create_subprocess_exec(
        str(IPPTOOL), "-t", "-I", "-V", version, "-d", f"user={user}",
        "-f", str(directory / "ours.pdf"), printer, str(directory / f"ipp-{version}.test"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(120):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    report = parse_report(output.decode(errors="replace"))
    assert (process.returncode == 0) is (not report.failed), output.decode(errors="replace")
    return report


def _lay_out(directory: Path, document: bytes) -> None:
    directory.mkdir(exist_ok=True)
    for file in SUITES.glob("*.test"):
        (directory / file.name).symlink_to(file)
    for name in (*FILES, "ours.pdf"):
        (directory / name).write_bytes(document)


def parse_report(output: str) -> SuiteReport:
    """Parse the output of `ipptool -t`.

    Its XML (`-X`) is no alternative: a suite that includes another one leaves it without an end.
    """
    report = SuiteReport([], [], {})
    last: str | None = None
    for line in output.splitlines():
        if found := _RESULT.fullmatch(line):
            name, result = found.groups()
            last = name if result == "FAIL" else None
            match result:
                case "PASS":
                    report.passed.append(name)
                case "SKIP":
                    report.skipped.append(name)
                case _:
                    report.failed[name] = []
        elif last is not None and line.startswith(_DETAIL):
            report.failed[last].append(line.strip())
    return report
