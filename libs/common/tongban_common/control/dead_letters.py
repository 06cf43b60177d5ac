"""`control.deadletters`: what operators did with dead letters. Key: the dead letter's id."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Settlement(StrEnum):
    """How a dead letter was dealt with."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"
    """Nothing is to be done about it."""
    FAILED = "failed"
    """Its request was ended by an operator."""


class DeadLetterSettled(BaseModel):
    """The newest thing that was done about one dead letter. No record: it waits for an operator."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    settlement: Settlement
    at: AwareDatetime
    by: str
    reason: str = ""
    times: int = 1
    """How often it has been settled; a second replay is another one and so has another event id."""

    def to_record(self) -> tuple[bytes, bytes]:
        """Key and value."""
        return self.id.encode(), self.model_dump_json().encode()

    @classmethod
    def from_record(cls, value: bytes) -> DeadLetterSettled:
        """Read a record's value.

        Raises:
            ValidationError: it is none.
        """
        return cls.model_validate_json(value)
