"""What a refused sign-in leaves in the log."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tongban_common.tokens import Kiosk
from tongban_intake.access.signin import SignIn
from tongban_intake.problems import Problem


async def test_what_was_typed_for_an_id_is_not_logged_unless_it_is_one() -> None:
    """A person who takes the page for their own puts an ID number or a phone there."""
    nobody: Any = SimpleNamespace(assistant=lambda _: None)
    signing = SignIn(nobody, secret="s" * 32, lifetime_s=60, at_once=1)
    kiosk = Kiosk("k-1", "b-1", "local", int(time.time()) + 60)
    try:
        with capture_logs() as lines, pytest.raises(Problem):
            await signing.sign_in(kiosk, "340000198702246086", "271828")
    finally:
        signing.close()
    assert [line["event"] for line in lines] == ["assistant_refused"]
    assert "340000198702246086" not in repr(lines)
