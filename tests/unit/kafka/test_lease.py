"""Tests the lease across freezes, suspensions and paused virtual machines. Time is injected."""

from __future__ import annotations

import pytest

from tongban_kafka import Lease
from tongban_kafka import boot_clock as clock


class Machine:
    """Simulates the clocks of one machine."""

    def __init__(self) -> None:
        self.up = 1000.0
        self.wall = 1_700_000_000.0

    def runs(self, seconds: float) -> None:
        """Advance all clocks. CLOCK_BOOTTIME advances during a suspension, too."""
        self.up += seconds
        self.wall += seconds

    def is_paused(self, seconds: float) -> None:
        """Advance the wall clock alone, as after a pause of a virtual machine."""
        self.wall += seconds

    def lease(self) -> Lease:
        lease = Lease(10.0, clock=lambda: self.up, gap=lambda: self.wall - self.up)
        lease.renew(*lease.sending())
        lease.take()
        return lease


def test_lease_ends_a_session_after_the_request_was_sent() -> None:
    machine = Machine()
    lease = machine.lease()
    sent = lease.sending()
    machine.runs(6)
    lease.renew(*sent)
    assert lease.remaining() == pytest.approx(4)
    machine.runs(4)
    assert not lease.holds()
    assert lease.remaining() == 0


def test_paused_machine_ends_the_lease_until_the_next_answer() -> None:
    machine = Machine()
    lease = machine.lease()
    resumed: list[bool] = []
    lease.on_resumed = lambda: resumed.append(True)
    machine.is_paused(1.5)
    assert not lease.holds()
    assert lease.remaining() == 0
    machine.runs(0.1)
    lease.renew(*lease.sending())
    assert lease.holds()
    assert resumed == [True]


def test_answer_to_a_request_sent_before_a_pause_renews_nothing() -> None:
    machine = Machine()
    lease = machine.lease()
    machine.runs(1)
    sent = lease.sending()
    machine.is_paused(3600)
    lease.renew(*sent)
    assert not lease.holds()


def test_wall_clock_that_is_slewed_or_set_back_leaves_the_lease() -> None:
    machine = Machine()
    lease = machine.lease()
    machine.is_paused(0.5)
    assert lease.holds()
    machine.is_paused(-3600)
    assert lease.holds()


def test_uptime_is_the_clock_that_counts_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(clock.time, "clock_gettime", lambda number: asked.append(number) or 1.0)
    monkeypatch.setattr(clock.time, "CLOCK_BOOTTIME", 7, raising=False)
    assert clock._uptime_of("linux")() == 1.0
    monkeypatch.delattr(clock.time, "CLOCK_BOOTTIME")
    monkeypatch.setattr(clock.time, "CLOCK_MONOTONIC", 6, raising=False)
    assert clock._uptime_of("darwin")() == 1.0
    assert asked == [7, 6]
    assert clock._uptime_of("win32") is clock.time.monotonic
