"""`control.deadletters`: what operators did with dead letters. Key: the dead letter's id."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from tongban_common.control.records import StateRecord
from tongban_common.events.models import Sealed


class Settlement(StrEnum):
    """How a dead letter was dealt with."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"
    """Nothing is to be done about it."""
    FAILED = "failed"
    """Its request was ended by an operator."""


class DeadLetterSettled(StateRecord):
    """The newest thing that was done about one dead letter. No record: it waits for an operator."""

    id: str
    settlement: Settlement
    at: AwareDatetime
    by: str
    reason: str = ""
    """From the lists of `tongban_ops.operators.reasons`; other words are sealed."""
    sealed: Sealed | None = None
    times: int = 1
    """How often it has been settled; a second replay is another one and so has another event id."""

    @property
    def key(self) -> str:
        """The record's key."""
        return self.id
