"""Define the records of `control.deadletters`: how operators settled dead letters. Key: the id."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from tongban_common.control.records import StateRecord
from tongban_common.events.models import Sealed


class Settlement(StrEnum):
    """Ways in which an operator settles a dead letter."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"
    """No action is needed."""
    FAILED = "failed"
    """An operator ended its request."""


class DeadLetterSettled(StateRecord):
    """Newest settlement of one dead letter. Without a record it waits for an operator."""

    id: str
    settlement: Settlement
    at: AwareDatetime
    by: str
    reason: str = ""
    """From the lists of `tongban_ops.operators.reasons`; any other text is sealed."""
    sealed: Sealed | None = None
    times: int = 1
    """Number of settlements; it gives a second replay another event id."""

    @property
    def key(self) -> str:
        return self.id
