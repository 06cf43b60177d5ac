"""Keep how far an export has come: offsets in the state, days and counts beside the facts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tongban_facts.atomic_files import replace_file
from tongban_facts.errors import ExportStateError
from tongban_facts.source import Place

_READABLE = 0o644
VERSION = 1


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise ExportStateError(f"{path}: cannot be read") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ExportStateError(f"{path}: was not written by this version of `tongban export`")
    return found


def _write(path: Path, body: dict[str, Any], mode: int) -> None:
    text = json.dumps({"version": VERSION, **body}, indent=1, sort_keys=True, ensure_ascii=False)
    replace_file(path, text.encode() + b"\n", mode=mode)


class Offsets:
    """The offset after the last record that was read, for each partition, and what was dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = _read(path)
        self._next: dict[str, int] = found.get("next", {})
        self._dropped: dict[str, int] = found.get("dropped", {})

    def ranges(self, available: dict[Place, tuple[int, int]]) -> dict[Place, tuple[int, int]]:
        """Return what is new on each partition, and remember its end for `write`.

        Raises:
            ExportStateError: a topic ends before what was read of it, so it is another cluster's,
                or was made anew.
        """
        found = {}
        for (topic, partition), (begin, end) in available.items():
            name = f"{topic}/{partition}"
            known = self._next.get(name, 0)
            if known > end:
                raise ExportStateError(
                    f"{self._path}: {name} was read up to {known} and ends at {end}: the topic was "
                    "made anew; export to another directory"
                )
            if (first := max(known, begin)) < end:
                found[topic, partition] = (first, end)
            self._next[name] = end
        return found

    def write(self, dropped: dict[str, int]) -> None:
        """Write the ends of the ranges: everything before them is in the state."""
        for what, number in dropped.items():
            self._dropped[what] = self._dropped.get(what, 0) + number
        _write(self._path, {"next": self._next, "dropped": self._dropped}, 0o600)


@dataclass(frozen=True, slots=True)
class DayEntry:
    """Describes what is published of one day.

    `withheld` counts requests that wait until k of their kind can be published together.
    """

    rows: dict[str, int]
    withheld: int


class Manifest:
    """The days that are published, beside the facts, for their readers."""

    def __init__(self, path: Path, k: int) -> None:
        self._path, self._k = path, k
        found = _read(path)
        self._days: dict[str, Any] = found.get("days", {})

    def is_current(self, day: str) -> bool:
        """Return True if the day's facts hold everything that the state has."""
        return day in self._days and not self._days[day].get("stale", False)

    def changed(self, day: str) -> None:
        """Note that the state has more than the day's facts, which are outside of the window."""
        if day in self._days:
            self._days[day]["stale"] = True

    def written(self, day: str, entry: DayEntry) -> None:
        """Note what is published of a day."""
        self._days[day] = {**asdict(entry), "k": self._k}

    def write(self) -> None:
        """Write the manifest, if it changed."""
        _write(self._path, {"days": self._days}, _READABLE)
