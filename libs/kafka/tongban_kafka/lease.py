"""How long a member of a group may be sure of its partitions."""

from __future__ import annotations

from collections.abc import Callable

from tongban_kafka.uptime import WALL_JUMP, uptime, wall_gap

_NEVER = float("-inf")


class Lease:
    """Ends, by our clock, no later than the member's session at the coordinator.

    Renewed by each request of the member that the coordinator answered, from the moment it was
    *sent*: the coordinator's timer began after that. Nothing is begun unless the lease `holds`,
    because the partitions may be another's by then: a process that was frozen, or whose machine was
    suspended, comes back as a zombie.

    A wall clock that has gained more than `WALL_JUMP` on the clock of the lease ends it until the
    next renewal: a virtual machine that was paused has lost that time on every other clock.

    Args:
        session_timeout: seconds after which the coordinator gives a silent member's partitions to
            others.
        clock: as `uptime`.
        gap: as `wall_gap`.
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
        self._gap_then = 0.0
        self._held = False
        self._until = _NEVER
        self.on_resumed: Callable[[], None] = lambda: None
        """Called when a lease that had ended holds again."""
        self.usurped = False
        """The coordinator does not know us any more though our session cannot have ended: another
        process has joined under our name, or an operator has removed us."""

    def sending(self) -> tuple[float, float]:
        """Return the arguments of `renew` for a request that is about to be sent."""
        return self._clock(), self._gap()

    def renew(self, sent_at: float, gap: float | None = None) -> None:
        """A request was answered that had been sent at that moment.

        Args:
            sent_at: of `uptime`.
            gap: of `wall_gap` at that moment; None if the answer came at once.
        """
        gap = self._gap() if gap is None else gap
        if sent_at <= self._renewed_at or self._gap() - gap > WALL_JUMP:
            return
        ended = not self.holds()
        self._renewed_at, self._gap_then = sent_at, gap
        self._reckon(ended)

    def take(self) -> None:
        """Partitions were assigned."""
        ended = not self.holds()
        self._held = True
        self._reckon(ended)

    def give_up(self) -> None:
        """No partitions are assigned any more."""
        self._held = False
        self._until = _NEVER

    def refuse(self) -> None:
        """The coordinator does not know this member any more."""
        self.usurped = self.usurped or self.holds()
        self.give_up()

    def _reckon(self, ended: bool) -> None:
        self._until = self._renewed_at + self._session_timeout if self._held else _NEVER
        if ended and self.holds():
            self.on_resumed()

    @property
    def held(self) -> bool:
        """Whether partitions are assigned, as far as we know."""
        return self._held

    def holds(self) -> bool:
        """Return True if the partitions are this member's for sure."""
        return self._clock() < self._until and self._gap() - self._gap_then <= WALL_JUMP

    def remaining(self) -> float:
        """Seconds; 0 when it has ended."""
        return self._until - self._clock() if self.holds() else 0.0

    def age(self) -> float | None:
        """Seconds since the coordinator was last heard; None before the first time."""
        return None if self._renewed_at == _NEVER else self._clock() - self._renewed_at
