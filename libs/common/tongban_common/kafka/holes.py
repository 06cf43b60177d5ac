"""Parts of a compacted topic that cannot be read, and what operators accept of them.

A batch that cannot be read may hold the newest record of any key: a revocation, an opt-out, a
pause. Nothing that comes later makes up for it, because the topic does not say whose records were
in it. So an operator writes again what may have been lost, and then accepts the loss by a record on
the topic itself, which every reader of the topic sees in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

ACCEPTED = "accepted-holes/"
"""The key of an acceptance begins with this; the number of the partition follows."""


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """A batch that could not be read: offsets from `first` up to, but without, `after`."""

    partition: int
    first: int
    after: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offsets {self.first} to {self.after - 1}"


class Acceptance(BaseModel):
    """An operator's word that nothing is missed of what could not be read in a partition."""

    partition: int = Field(ge=0)
    through: int = Field(ge=0, description="holes that end at this offset, or before it")
    by: str

    @property
    def key(self) -> str:
        """Return the record's key."""
        return f"{ACCEPTED}{self.partition}"

    def to_record(self) -> tuple[bytes, bytes]:
        """Return key and value."""
        return self.key.encode(), self.model_dump_json().encode()


def acceptances(holes: Iterable[Hole], *, by: str) -> list[Acceptance]:
    """Return one acceptance for each partition that has a hole."""
    through: dict[int, int] = {}
    for hole in holes:
        through[hole.partition] = max(hole.after, through.get(hole.partition, 0))
    return [
        Acceptance(partition=partition, through=offset, by=by)
        for partition, offset in sorted(through.items())
    ]


@dataclass(slots=True)
class Holes:
    """Collects what a reader could not read of one topic, and what was accepted of it."""

    _found: set[Hole] = field(default_factory=set)
    _through: dict[int, int] = field(default_factory=dict)

    def found(self, hole: Hole) -> None:
        """Remember a batch that could not be read."""
        self._found.add(hole)

    def take(self, key: str, value: bytes | None) -> bool:
        """Return True if this record is no entry of the topic but an acceptance, and keep it."""
        if not key.startswith(ACCEPTED):
            return False
        try:
            accepted = Acceptance.model_validate_json(value or b"")
        except ValidationError:
            return True  # accepts nothing
        known = self._through.get(accepted.partition, 0)
        self._through[accepted.partition] = max(known, accepted.through)
        return True

    @property
    def open(self) -> list[Hole]:
        """Return the holes that no operator has accepted, in the order of the topic."""
        return sorted(h for h in self._found if h.after > self._through.get(h.partition, 0))
