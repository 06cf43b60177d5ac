"""`connectors.state`: how each connector process stands to each of its provinces, told again and
again. Key: PROVINCE/INSTANCE. Not compacted: who has not been heard of for `HEARD_S` is gone."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from tongban_common.control.records import StateRecord
from tongban_common.domain.moments import Moment

TELL_S = 20.0
"""Seconds (wall clock) after which a process tells what has not changed."""
HEARD_S = 75.0
"""What is older than this says nothing of now: three were missed, or the process is no more."""


class CircuitState(StrEnum):
    """A circuit breaker's."""

    CLOSED = "closed"
    """Calls go through."""
    HALF_OPEN = "half_open"
    """One call may go through; its end decides."""
    OPEN = "open"
    """No call goes through."""


class ConnectorState(StateRecord):
    """One process and one province. Times are business time (see `tongban_common.clock`)."""

    province: str
    instance: str
    circuit: CircuitState
    cause: str | None = Field(
        None,
        description="why nothing is handed in: closed, down, throttled, paused; none: it is",
    )
    since: Moment = Field(
        description="since when the cause has been this one, as this process saw it"
    )
    until: Moment | None = Field(None, description="when it ends, as far as that is known")
    waiting: int = Field(0, ge=0, description="records that wait until the province may be called")

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{self.province}/{self.instance}"
