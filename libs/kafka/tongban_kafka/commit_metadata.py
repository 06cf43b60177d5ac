"""Tell the successor of a partition, in the metadata of the committed offset, what it has to know.

Three things are told (ADR 0032 to 0034):

- How far records have been begun, by a member that gives the partition up in peace. A successor
  must ask its neighbours before it acts on a record that a predecessor may have acted on
  (`Record.maybe_seen`). Without this hint that is every record on the topic at the assignment.
- A note of the application, which stands with every commit. It holds for whoever takes over,
  also after a kill.
- Which records behind the committed offset are done. The successor does not handle them again.

The successor commits the same offset without hint and note before it begins anything: if it is
killed before its first commit, the next one finds nothing that has become false. What is done stays
done.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from tongban_kafka.offset_runs import decode_offsets, encode_offsets

_FORMAT = re.compile(
    r"tongban( begun-to=(?P<begun_to>[0-9]{1,19}))?( note=(?P<note>[a-z0-9.-]+))?"
    r"( done=(?P<done>[A-Za-z0-9_-]+))?"
)
_NOTE = re.compile(r"[a-z0-9.-]{0,32}")
_MOST_DONE = 2000
"""Characters for the records that are done. A broker takes metadata of 4,096 bytes
(`offset.metadata.max.bytes`) unless it is set lower."""


class CommitMetadata(NamedTuple):
    """Holds what is told with the committed offset of one partition."""

    begun_to: int | None = None
    """No record from this offset on has been begun; None: not told."""
    note: str = ""
    """The application's note; empty: none."""
    done: frozenset[int] = frozenset()
    """Offsets above the committed one that are done."""

    def encode(self, committed: int) -> str:
        """Return the metadata for a commit of this offset; empty if there is nothing to tell.

        Of very many scattered offsets that are done only the lowest are told.

        Raises:
            ValueError: the note has other characters than a-z, 0-9, dot and hyphen, or over 32.
        """
        if not _NOTE.fullmatch(self.note):
            raise ValueError(f"not a note for a commit: {self.note!r}")
        begun = "" if self.begun_to is None else f" begun-to={self.begun_to}"
        note = self.note and f" note={self.note}"
        done = self.done and encode_offsets(self.done, committed, most=_MOST_DONE)
        done = f" done={done}" if done else ""
        return f"tongban{begun}{note}{done}" if begun or note or done else ""

    @classmethod
    def decode(cls, text: str | None, committed: int) -> CommitMetadata:
        """Return what the metadata of a committed offset tells; nothing if it is not ours.

        A hint below the committed offset cannot be ours, and is left out.
        """
        found = _FORMAT.fullmatch(text or "")
        if found is None:
            return cls()
        begun_to = found["begun_to"] and int(found["begun_to"])
        if not isinstance(begun_to, int) or begun_to < committed:
            begun_to = None
        done: frozenset[int] = frozenset()
        with suppress(ValueError):
            done = decode_offsets(found["done"] or "", committed)
        return cls(begun_to, found["note"] or "", done)
