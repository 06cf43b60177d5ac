"""How long a member of a group may be sure of its partitions."""

from __future__ import annotations

import time
from collections.abc import Callable

_NEVER = float("-inf")


class Lease:
    """Ends, by our clock, no later than the member's session at the coordinator.

    Renewed by each request of the member that the coordinator answered, from the moment it was
    *sent*: the coordinator's timer began after that. Nothing is begun after `until`, because the
    partitions may be another's by then: a process that was frozen comes back as a zombie.
    """

    def __init__(self, session_timeout: float) -> None:
        self._session_timeout = session_timeout
        self._renewed_at = _NEVER
        self._held = False
        self.until = _NEVER
        """`time.monotonic()` of the end; long past while no partitions are assigned."""
        self.on_resumed: Callable[[], None] = lambda: None
        """Called when a lease that had ended holds again."""
        self.usurped = False
        """The coordinator does not know us any more though our session cannot have ended: another
        process has joined under our name, or an operator has removed us."""

    def renew(self, sent_at: float) -> None:
        """A request sent at that `time.monotonic()` was answered."""
        if sent_at > self._renewed_at:
            self._renewed_at = sent_at
            self._reckon()

    def take(self) -> None:
        """Partitions were assigned."""
        self._held = True
        self._reckon()

    def give_up(self) -> None:
        """No partitions are assigned any more."""
        self._held = False
        self._reckon()

    def refuse(self) -> None:
        """The coordinator does not know this member any more."""
        self.usurped = self.usurped or self.remaining() > 0
        self.give_up()

    def _reckon(self) -> None:
        ended = self.remaining() == 0
        self.until = self._renewed_at + self._session_timeout if self._held else _NEVER
        if ended and self.remaining() > 0:
            self.on_resumed()

    @property
    def held(self) -> bool:
        """Whether partitions are assigned, as far as we know."""
        return self._held

    def remaining(self) -> float:
        """Seconds; 0 when it has ended."""
        return max(0.0, self.until - time.monotonic())

    def age(self) -> float | None:
        """Seconds since the coordinator was last heard; None before the first time."""
        return None if self._renewed_at == _NEVER else time.monotonic() - self._renewed_at
