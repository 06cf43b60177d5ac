"""A lobby manager's sign-in: wrong PINs, locks, and what a refusal leaves in the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.intake.kit import kiosk
from tongban_intake.access import signin
from tongban_intake.access.enrolment import AssistantRecord
from tongban_intake.access.enrolment.assistants import PinHash
from tongban_intake.access.lockout import Lockout
from tongban_intake.access.signin import SignIn
from tongban_intake.problems import Kind, ProblemError

PIN, WRONG = "730518", "730519"


class Lobby:
    """A branch with two lobby managers, `lm-1` and `lm-2`, and another with `lm-9`."""

    def __init__(self) -> None:
        self.now = 1000.0
        enrolled: Any = self
        self.sign_in = SignIn(
            enrolled, secret="s" * 32, lifetime_s=60, at_once=1, monotonic=lambda: self.now
        )

    def assistant(self, assistant_id: str) -> AssistantRecord | None:
        branch = {"lm-1": "branch-01", "lm-2": "branch-01", "lm-9": "branch-09"}.get(assistant_id)
        if branch is None:
            return None
        return AssistantRecord(
            assistant_id=assistant_id,
            branch_id=branch,
            epoch=1,
            pin=PinHash(salt="", digest=""),
            enrolled_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    async def tries(
        self, who: str = "lm-1", pin: str = WRONG, *, at: int = 1, branch: int = 1
    ) -> Kind | None:
        """Return what a try ends in, None where it succeeds. The kiosk rests before it."""
        self.now += 10.0
        return await self.hurries(who, pin, at=at, branch=branch)

    async def hurries(
        self, who: str = "lm-1", pin: str = WRONG, *, at: int = 1, branch: int = 1
    ) -> Kind | None:
        """The same at once."""
        try:
            await self.sign_in.sign_in(kiosk(at, branch), who, pin)
        except ProblemError as problem:
            return problem.kind
        return None


@pytest.fixture(name="lobby")
def _lobby(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lobby]:
    monkeypatch.setattr(signin, "pin_fits", lambda _secret, kept, pin: not kept.salt and pin == PIN)
    lobby = Lobby()
    yield lobby
    lobby.sign_in.close()


async def test_right_pin_signs_in_and_forgets_wrong_ones(lobby: Lobby) -> None:
    for _ in range(3):
        assert [await lobby.tries() for _ in range(4)] == [Kind.FORBIDDEN] * 4
        assert await lobby.tries(pin=PIN) is None


async def test_five_wrong_pins_lock_the_manager_out_at_that_kiosk(lobby: Lobby) -> None:
    assert [await lobby.tries() for _ in range(5)] == [Kind.FORBIDDEN] * 5
    assert await lobby.tries(pin=PIN) is Kind.TOO_MANY
    assert await lobby.tries("lm-2", PIN) is None
    lobby.now += 60
    assert await lobby.tries(pin=PIN) is None


async def test_guesses_at_one_kiosk_leave_the_manager_free_at_another(lobby: Lobby) -> None:
    for _ in range(7):
        await lobby.hurries()
    assert await lobby.hurries(pin=PIN, at=2) is None
    assert await lobby.hurries(pin=PIN) is Kind.TOO_MANY


async def test_guesses_at_all_kiosks_of_the_branch_lock_the_manager_out(lobby: Lobby) -> None:
    kinds = [await lobby.hurries(at=at) for at in range(1, 6) for _ in range(4)]
    assert kinds == [Kind.FORBIDDEN] * 20
    assert await lobby.hurries(pin=PIN, at=7) is Kind.TOO_MANY


async def test_kiosk_of_another_branch_cannot_lock_an_assistant_out(lobby: Lobby) -> None:
    kinds = [await lobby.tries(at=at, branch=2) for at in range(1, 9) for _ in range(9)]
    assert set(kinds) == {Kind.FORBIDDEN}
    assert await lobby.tries(pin=PIN) is None


async def test_unknown_names_do_not_evict_a_lockout(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby.sign_in._at_kiosk, "_remembered", 3)
    for _ in range(5):
        await lobby.tries()
    for number in range(20):
        assert await lobby.hurries(f"nobody-{number}", at=number + 2) is Kind.FORBIDDEN
    for at in range(30, 40):  # nor do tries at other kiosks, which are counted
        assert await lobby.hurries(at=at) is Kind.FORBIDDEN
    assert await lobby.tries(pin=PIN) is Kind.TOO_MANY


async def test_malformed_pin_is_not_counted(lobby: Lobby) -> None:
    for _ in range(20):
        assert await lobby.tries(pin="x") is Kind.FORBIDDEN
    assert await lobby.tries(pin=PIN) is None


async def test_kiosk_has_ten_tries_at_once_for_all_names_together(lobby: Lobby) -> None:
    kinds = [await lobby.hurries(f"nobody-{number}") for number in range(12)]
    assert kinds == [Kind.FORBIDDEN] * 10 + [Kind.TOO_MANY] * 2
    assert await lobby.hurries("lm-2", PIN, at=2) is None


def test_lock_doubles_up_to_its_longest() -> None:
    now = [0.0]
    lockout = Lockout(free=2, first_s=10, longest_s=35, monotonic=lambda: now[0])
    waits = []
    for _ in range(6):
        try:
            lockout.check("k")
        except ProblemError as problem:
            waits.append(problem.retry_after)
            now[0] += problem.retry_after or 0
        lockout.begin("k")
    assert waits == [10, 20, 35, 35]


async def test_typed_assistant_id_is_logged_only_if_well_formed(lobby: Lobby) -> None:
    """A person who takes the page for their own puts an ID number or a phone there."""
    with capture_logs() as lines:
        assert await lobby.tries("340000198702246086", "271828") is Kind.FORBIDDEN
    assert [line["event"] for line in lines] == ["assistant_refused"]
    assert "340000198702246086" not in repr(lines)
