"""Read the router's settings from `TONGBAN_*` environment variables."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from tongban_common.settings import CommonSettings
from tongban_router.domain.state import Rules


class RouterSettings(CommonSettings):
    """CommonSettings, and the time spans that govern requests."""

    first_poll_s: float = Field(
        5.0, gt=0, description="business seconds before the first poll; at least a wall second"
    )
    longest_poll_s: float = Field(4 * 3600.0, gt=0, description="business seconds between polls")
    ask_again_s: float = Field(600.0, gt=0, description="seconds a call may stay unanswered")
    keep_finished_s: float = Field(
        24 * 3600.0, gt=0, description="wall seconds that a finished request is kept: a key's life"
    )
    stall_s: float = Field(60.0, gt=0, description="wall seconds of lag without progress: not live")

    def rules(self) -> Rules:
        """Return the rules in business time. A first poll waits at least 1 s of wall time, and the
        repeat of an unanswered call 30 s."""
        speed = self.clock.speed
        ask_again_s = max(self.ask_again_s, 30.0 * speed)
        first_poll_s = max(self.first_poll_s, 1.0 * speed)
        return Rules(
            first_poll=timedelta(seconds=first_poll_s),
            longest_poll=timedelta(seconds=max(self.longest_poll_s, first_poll_s)),
            ask_again=timedelta(seconds=ask_again_s),
            keep_finished=timedelta(seconds=self.keep_finished_s * speed),
        )
