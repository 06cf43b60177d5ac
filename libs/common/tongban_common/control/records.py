"""What the records of all these topics have in common."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

JSON_HEADERS = [("content-type", b"application/json")]
"""Headers of every record that is a state and no event."""


class StateRecord(BaseModel):
    """The newest state of the thing that `key` names."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def key(self) -> str:
        """The record's key."""
        raise NotImplementedError

    def to_record(self) -> tuple[bytes, bytes]:
        """Key and value."""
        return self.key.encode(), self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_record(cls, value: bytes) -> Self:
        """Read a record's value.

        Raises:
            ValidationError: it is none.
        """
        return cls.model_validate_json(value)
