"""Operators read moments in China's time, whatever zone they were stored with."""

from __future__ import annotations

from datetime import UTC, datetime

from tongban_common.clock import CHINA
from tongban_ops.cli.console import china_time


def test_moment_is_shown_in_the_time_of_china() -> None:
    at = datetime(2026, 3, 1, 16, 30, 5, 250_000, UTC)
    assert china_time(at) == china_time(at.astimezone(CHINA)) == "2026-03-02 00:30:05"
