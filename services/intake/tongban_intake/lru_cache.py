"""Keep bounded maps in memory: least recently used out first, or one value for each item."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tongban_common.catalogue import Item

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class LruCache(Generic[KeyT, ValueT]):
    """Holds the `size` entries that were read or written last.

    Args:
        size: most entries.
        seconds: age, since it was written, from which on an entry counts as absent; None: any age.
    """

    def __init__(
        self,
        size: int,
        *,
        seconds: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._seconds = float("inf") if seconds is None else seconds
        self._monotonic = monotonic
        self._entries: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: KeyT) -> ValueT | None:
        """Return the value, which is then the most recently used; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        written_at, value = entry
        if self._monotonic() - written_at >= self._seconds:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: KeyT, value: ValueT) -> None:
        """Write an entry, and drop the least recently used ones that are too many or too old."""
        now = self._monotonic()
        self._entries[key] = now, value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size or self._oldest_age(now) >= self._seconds:
            self._entries.popitem(last=False)

    def _oldest_age(self, now: float) -> float:
        return now - next(iter(self._entries.values()))[0]


Made = TypeVar("Made")
_KEPT = 4000


class PerItem(Generic[Made]):
    """Calls `make` once for each item object.

    Code and version do not identify an item: one that is withdrawn and published anew begins at
    version 1 again.
    """

    def __init__(self, make: Callable[[Item], Made]) -> None:
        self._make = make
        self._kept: LruCache[str, tuple[Item, Made]] = LruCache(_KEPT)

    def of(self, item: Item) -> Made:
        """Return the result of `make` for this item, computed now or before."""
        kept = self._kept.get(item.code)
        if kept is None or kept[0] is not item:
            kept = item, self._make(item)
            self._kept.put(item.code, kept)
        return kept[1]
