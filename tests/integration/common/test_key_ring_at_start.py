"""A key ring that cannot be used ends every service that reads it, with one line that says why."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tongban_common.exit_codes import EX_CONFIG

BIN = Path(sys.executable).parent
CATALOGUE = Path(__file__).parents[3] / "catalogue"
SERVICES = ("intake", "connectors", "printing", "notify")


async def start(service: str, keyring: str, data: Path) -> tuple[int | None, str]:
    """Exit code and what it said."""
    settings = {
        "TONGBAN_KEYRING": keyring,
        "TONGBAN_KAFKA": "127.0.0.1:1",
        "TONGBAN_STORE": "mongodb://127.0.0.1:1",
        "TONGBAN_CATALOGUE": str(CATALOGUE),
        "TONGBAN_DATA": str(data),
    }
    process = await asyncio.create_subprocess_exec(
        str(BIN / f"tongban-{service}"),
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"\xff\x00 not JSON", "a key ring is"), (b'{"keys": {}}', "active")],
)
async def test_service_with_unusable_key_ring_ends_with_one_line_that_names_the_cause(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "keyring.json"
    if content is not None:
        path.write_bytes(content)
    ends = await asyncio.gather(*(start(each, f"@{path}", tmp_path) for each in SERVICES))
    for service, (code, said) in zip(SERVICES, ends, strict=True):
        assert code == EX_CONFIG, (service, said)
        (line,) = (line for line in said.splitlines() if line.startswith("TONGBAN_KEYRING"))
        assert str(path) in line
        assert why in line
        assert "Traceback" not in said, (service, said)
