"""How many tokens one kiosk may trade for: what all replicas remember must not be filled by one."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tongban_intake.access import token_endpoint
from tongban_intake.access.enrolment.assertion import GRANT_TYPE
from tongban_intake.access.replay_guard import _ENOUGH, _REMEMBERED_S
from tongban_intake.access.token_endpoint import TRADES_AT_ONCE, TRADES_PER_S, TokenEndpoint
from tongban_intake.http.limits import KioskRates
from tongban_intake.problems import Kind, ProblemError


class Claimed:
    """Claims that are always the first use, and counted."""

    since = 0

    def __init__(self) -> None:
        self.count = 0

    async def claim(self, kiosk_id: str, jti: str) -> bool:
        assert (kiosk_id, jti) == ("k-1", "j")
        self.count += 1
        return True


async def test_kiosk_that_trades_all_day_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    proved = SimpleNamespace(iat=int(time.time()), jti="j")
    monkeypatch.setattr(token_endpoint.assertions, "claimed_kiosk", lambda _: "k-1")
    monkeypatch.setattr(token_endpoint.assertions, "verify", lambda *_, **__: proved)
    record = SimpleNamespace(branch_id="b-1", zone="local", epoch=1)
    enrolled: Any = SimpleNamespace(kiosk=lambda _: record)
    now, claimed = [0.0], Claimed()
    endpoint = TokenEndpoint(
        enrolled,
        secret="s" * 32,
        audiences=("a",),
        lifetime_s=900,
        rates=KioskRates(TRADES_PER_S, TRADES_AT_ONCE, monotonic=lambda: now[0]),
        replay_guard=claimed,  # type: ignore[arg-type]
    )

    async def trades() -> bool:
        try:
            await endpoint.trade(GRANT_TYPE, "assertion")
        except ProblemError as problem:
            assert problem.kind is Kind.TOO_MANY
            return False
        return True

    assert [await trades() for _ in range(TRADES_AT_ONCE + 1)] == [True] * TRADES_AT_ONCE + [False]
    for _ in range(600):
        now[0] += 0.1
        await trades()
    assert TRADES_AT_ONCE < claimed.count <= TRADES_AT_ONCE + 60 * TRADES_PER_S
    # A hundred kiosks that do nothing else do not fill what all replicas remember.
    assert 100 * (TRADES_AT_ONCE + TRADES_PER_S * _REMEMBERED_S) < _ENOUGH
