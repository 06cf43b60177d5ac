"""Remember what is computed once for each catalogue item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tongban_common.catalogue import Item
from tongban_intake.lru_cache import LruCache

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
