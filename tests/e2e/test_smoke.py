"""`tongban smoke` against a whole stack: in order, and with one part of it broken after another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lobby_kit import BRANCH, KIOSK, Lobby, lobby_in
from tongban_devstack.ports import free_port

TONGBAN = Path(sys.executable).with_name("tongban")
STEPS = [
    "reachable", "version", "ready", "signed in", "catalogue", "submitted",
    "repeated", "completed", "event stream", "printed", "message",
]  # fmt: skip


async def smoke(url: str, *options: str, token: str = "", code: int = 0) -> dict[str, Any]:
    """The JSON of a run; its verdicts by step under `verdicts`."""
    process = await asyncio.create_subprocess_exec(
        str(TONGBAN), "smoke", "--intake", url, "--json", *options,
        env={**os.environ, **({"TONGBAN_TOKEN": token} if token else {})},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode == code, (out.decode(), err.decode())
    told = json.loads(out) if out else {"stderr": err.decode()}
    told["verdicts"] = {each["step"]: each["verdict"] for each in told.get("steps", [])}
    told["details"] = {each["step"]: each["detail"] for each in told.get("steps", [])}
    return dict(told)


@contextmanager
def frozen(lobby: Lobby, name: str) -> Iterator[None]:
    """Stop a process for the block, as one that hangs."""
    lobby.stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        lobby.stack.kill(name, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_smoke_on_a_stack_passes_and_names_what_is_broken(tmp_path: Path) -> None:
    async with lobby_in(tmp_path, profile="prompt", clock=None) as lobby:
        stack = lobby.stack
        token = await stack.token(KIOSK, BRANCH)
        told = await smoke(stack.intake, "--strict", token=token)
        assert told["ok"]
        assert told["verdicts"] == dict.fromkeys(STEPS, "passed"), told
        assert await lobby.ledger(told["request_id"]) == {(told["request_id"], "submit"): 1}
        (sheet,) = await lobby.outside(f"{stack.devices}/printed")
        assert (sheet["request_id"], sheet["kiosk_id"]) == (told["request_id"], KIOSK)

        key = stack.data / "kiosks" / f"{KIOSK}.pem"
        told = await smoke(stack.intake, "--kiosk", KIOSK, "--key", str(key), "--no-print")
        assert told["verdicts"] == {**dict.fromkeys(STEPS, "passed"), "printed": "skipped"}, told

        told = await smoke(stack.intake)
        assert told["verdicts"]["ready"] == "passed"
        assert told["verdicts"]["submitted"] == "skipped"
        await smoke(stack.intake, "--strict", code=1)
        told = await smoke(stack.intake, "--expect-version", "99.0", code=1)
        assert "not 99.0" in told["details"]["version"]

        told = await smoke(stack.intake, token=f"{token}x", code=1)
        assert told["verdicts"]["signed in"] == "failed"
        assert told["details"]["submitted"] == "needs: catalogue"

        told = await smoke(stack.gateways, token=token, code=69)
        assert "not as intake does" in told["stderr"]
        told = await smoke(f"http://127.0.0.1:{free_port()}", token=token, code=69)
        assert "no answer" in told["stderr"]

        with frozen(lobby, "printing"):
            told = await smoke(stack.intake, "--timeout", "8", token=token, code=1)
        assert told["verdicts"]["completed"] == "passed", told
        assert "is printing ready?" in told["details"]["printed"]

        with frozen(lobby, "router"):
            told = await smoke(stack.intake, "--timeout", "3", token=token, code=1)
        assert "still submitted after 3 s" in told["details"]["completed"]
        assert "its withdrawal is submitted" in told["details"]["completed"]
        ended = await lobby.when(told["request_id"], "withdrawn", "completed")
        effects = await lobby.ledger(told["request_id"])
        assert set(effects.values()) <= {1}, (ended["status"], effects)
