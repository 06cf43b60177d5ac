"""A child process that has closed its output keeps its exit code."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from typing import cast

import pytest

from tongban_common import children
from tongban_common.children import exit_code


class Ending:
    """A child that ends by itself with `code` after one turn; None: it does not. Killed while it is
    ending, its code is lost, as `subprocess` and asyncio lose it together."""

    def __init__(self, code: int | None) -> None:
        self.returncode: int | None = None
        self._code = code

    async def wait(self) -> int:
        await asyncio.sleep(0)
        while self.returncode is None:
            self.returncode = self._code
            await asyncio.sleep(0)
        return self.returncode

    def kill(self) -> None:
        self.returncode = 255 if self._code is not None else -signal.SIGKILL


@pytest.mark.parametrize("code", [0, 1, -signal.SIGXCPU, -signal.SIGKILL])
async def test_exit_code_of_ending_child_is_not_lost_by_killing_it(code: int) -> None:
    assert await exit_code(cast(Process, Ending(code))) == code


async def test_exit_code_of_child_that_was_reaped_elsewhere_is_unknown() -> None:
    assert await exit_code(cast(Process, Ending(255))) is None


async def test_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "END_S", 0.01)
    child = Ending(None)
    assert await exit_code(cast(Process, child)) is None
    assert child.returncode == -signal.SIGKILL
