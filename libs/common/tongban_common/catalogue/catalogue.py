"""All items, findable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypedDict

from tongban_common.catalogue.models import Audience, Item, ItemKind, Province, Zone


class ZoneSummary(TypedDict):
    """One zone in `GET /v1/catalogue/summary`."""

    provinces: int
    categories: int
    items: int
    query: int
    handle: int
    print: int
    domains: int


class Catalogue:
    """The items that are offered now. `put` and `remove` change it while it serves."""

    def __init__(self, items: Iterable[Item] = (), *, provinces: Iterable[Province] = ()) -> None:
        self.provinces = {province.code: province for province in provinces}
        """By code; empty in a catalogue that was made from the topic alone."""
        self._items = {item.code: item for item in items}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __contains__(self, code: object) -> bool:
        return code in self._items

    def get(self, code: str) -> Item | None:
        """The item as it is offered now."""
        return self._items.get(code)

    def put(self, item: Item) -> bool:
        """Offer an item, or its new version; False when it is no newer than the one at hand."""
        present = self._items.get(item.code)
        if present is not None and present.version >= item.version:
            return False
        self._items[item.code] = item
        return True

    def remove(self, code: str) -> None:
        """Stop offering an item."""
        self._items.pop(code, None)

    def filter(
        self,
        *,
        zone: str | None = None,
        province: str | None = None,
        domain: str | None = None,
        kind: str | None = None,
        audience: str | None = None,
    ) -> list[Item]:
        """The items that fit all that is given, most used first.

        An `audience` of person or company also finds the items for both.
        """
        wanted_zone = Zone(zone) if zone else None
        wanted_kind = ItemKind(kind) if kind else None
        wanted_audience = Audience(audience) if audience else None
        found = [
            item
            for item in self._items.values()
            if (wanted_zone is None or wanted_zone in item.zones)
            and (province is None or item.province == province)
            and (domain is None or item.domain == domain)
            and (wanted_kind is None or item.kind is wanted_kind)
            and (wanted_audience is None or item.audience in (wanted_audience, Audience.BOTH))
        ]
        return sorted(found, key=lambda item: (-item.usage, item.code))

    def summary(self) -> dict[str, ZoneSummary]:
        """What each zone holds, in the shape of `GET /v1/catalogue/summary`."""
        return {zone.value: _summarise(self.filter(zone=zone)) for zone in Zone}


def _summarise(items: list[Item]) -> ZoneSummary:
    return ZoneSummary(
        provinces=len({item.province for item in items}),
        categories=len({item.category for item in items}),
        items=len(items),
        query=sum(item.kind is ItemKind.QUERY for item in items),
        handle=sum(item.kind is ItemKind.HANDLE for item in items),
        print=sum(item.kind is ItemKind.PRINT for item in items),
        domains=len({item.domain for item in items}),
    )
