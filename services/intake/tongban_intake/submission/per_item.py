"""What is made once of each item, however often the item is handed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tongban_common.catalogue import Item

Made = TypeVar("Made")
_KEPT = 4000


class PerItem(Generic[Made]):
    """By the very item: one that is withdrawn and published anew begins at version 1 again, so code
    and version do not tell it from the old one."""

    def __init__(self, make: Callable[[Item], Made]) -> None:
        self._make = make
        self._kept: OrderedDict[str, tuple[Item, Made]] = OrderedDict()

    def of(self, item: Item) -> Made:
        """What was made of this item, now or before."""
        kept = self._kept.get(item.code)
        if kept is None or kept[0] is not item:
            kept = self._kept[item.code] = item, self._make(item)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return kept[1]
