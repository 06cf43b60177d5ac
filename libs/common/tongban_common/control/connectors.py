"""`connectors.state`: each connector process reports its state for each province, periodically.

The key is PROVINCE/INSTANCE. The topic is not compacted: a process whose last report is older than
`HEARD_S` is gone.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from tongban_common.control.records import StateRecord
from tongban_common.domain.moments import Moment

TELL_S = 20.0
"""Seconds (wall clock) after which a process repeats an unchanged report."""
HEARD_S = 75.0
"""Seconds after which a report is stale: three reports were missed, or the process ended."""


class CircuitState(StrEnum):
    """The states of a circuit breaker."""

    CLOSED = "closed"
    """The connector sends calls."""
    HALF_OPEN = "half_open"
    """The connector sends one call, whose result closes or opens the circuit."""
    OPEN = "open"
    """The connector sends no call."""


class ConnectorState(StateRecord):
    """The state of one process for one province. Times are business time."""

    province: str
    instance: str
    circuit: CircuitState
    cause: str | None = Field(
        None,
        description="why no request is sent: closed, down, throttled or paused; None: sent",
    )
    since: Moment = Field(description="since when this process has seen the cause")
    until: Moment | None = Field(None, description="end of the cause, if known")
    waiting: int = Field(0, ge=0, description="number of records that wait for the province")

    @property
    def key(self) -> str:
        """Return the record's key."""
        return f"{self.province}/{self.instance}"
