"""The base of all control records."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

JSON_HEADERS = [("content-type", b"application/json")]
"""Headers of every record that is a state and no event."""


class StateRecord(BaseModel):
    """Base of the records: the newest state of the thing that `key` names."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def key(self) -> str:
        """Return the record's key."""
        raise NotImplementedError

    def to_record(self) -> tuple[bytes, bytes]:
        """Return the record's key and value."""
        return self.key.encode(), self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_record(cls, value: bytes) -> Self:
        """Read a record's value.

        Raises:
            ValidationError: the value is no such record.
        """
        return cls.model_validate_json(value)
