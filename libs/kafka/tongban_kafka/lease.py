"""Tells a member of a consumer group how long its partitions are certainly its own."""

from __future__ import annotations

from collections.abc import Callable

from tongban_kafka.boot_clock import WALL_JUMP, uptime, wall_gap

_NEVER = float("-inf")


class Lease:
    """Holds a lease on partitions that ends no later than the session at the coordinator.

    Each answer of the coordinator renews it, from the moment the request was *sent*: the
    coordinator's session timer started after that. A worker begins nothing unless the lease
    `holds`, because the partitions may belong to another member by then: a process that was frozen,
    or whose machine was suspended, resumes as a zombie.

    A wall clock that gained more than `WALL_JUMP` on the lease's clock ends the lease until the
    next renewal: a virtual machine that was paused has lost that time on every other clock.

    Args:
        session_timeout: seconds after which the coordinator assigns a silent member's partitions
            to others.
        clock: a clock like `uptime`.
        gap: a function like `wall_gap`.
    """

    def __init__(
        self,
        session_timeout: float,
        *,
        clock: Callable[[], float] = uptime,
        gap: Callable[[], float] = wall_gap,
    ) -> None:
        self._session_timeout = session_timeout
        self._clock = clock
        self._gap = gap
        self._renewed_at = _NEVER
        self._gap_at_renewal = 0.0
        self._held = False
        self._until = _NEVER
        self.on_resumed: Callable[[], None] = lambda: None
        """Called when a lease that had ended is renewed."""
        self.usurped = False
        """True if the coordinator removed this member before its session can have ended: another
        process joined under its name, or an operator removed it."""

    def sending(self) -> tuple[float, float]:
        """Return the arguments for `renew`, to be called just before a request is sent."""
        return self._clock(), self._gap()

    def renew(self, sent_at: float, gap: float | None = None) -> None:
        """Renew the lease after the coordinator has answered a request.

        Args:
            sent_at: `uptime` when the request was sent.
            gap: `wall_gap` when it was sent; None if the answer came at once.
        """
        gap = self._gap() if gap is None else gap
        if sent_at <= self._renewed_at or self._gap() - gap > WALL_JUMP:
            return
        ended = not self.holds()
        self._renewed_at, self._gap_at_renewal = sent_at, gap
        self._update_end(ended)

    def take(self) -> None:
        """Begin the lease, because partitions were assigned."""
        ended = not self.holds()
        self._held = True
        self._update_end(ended)

    def give_up(self) -> None:
        """End the lease, because no partitions are assigned any more."""
        self._held = False
        self._until = _NEVER

    def refuse(self) -> None:
        """End the lease, because the coordinator does not know this member any more."""
        self.usurped = self.usurped or self.holds()
        self.give_up()

    def _update_end(self, ended: bool) -> None:
        self._until = self._renewed_at + self._session_timeout if self._held else _NEVER
        if ended and self.holds():
            self.on_resumed()

    @property
    def held(self) -> bool:
        """Return True if partitions are assigned, as far as this member knows."""
        return self._held

    def holds(self) -> bool:
        """Return True if the partitions are certainly this member's."""
        return self._clock() < self._until and self._gap() - self._gap_at_renewal <= WALL_JUMP

    def remaining(self) -> float:
        """Return the seconds until the lease ends; 0 if it has ended."""
        return self._until - self._clock() if self.holds() else 0.0

    def age(self) -> float | None:
        """Return the seconds since the last request that was answered; None before the first."""
        return None if self._renewed_at == _NEVER else self._clock() - self._renewed_at
