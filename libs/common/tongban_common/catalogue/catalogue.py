"""The items on offer, with filters and search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypedDict

from tongban_common.catalogue.models import Audience, Item, ItemKind, Province, Zone
from tongban_common.catalogue.search import SearchIndex

_IN_ZONE, _IN_PROVINCE = 12, 4
"""Bonus of a near item in `search`: more than the difference between a match at the beginning and
inside of a name, less than that between the beginning and the whole name."""


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
    """The items on offer. `put` and `remove` may change it at any moment."""

    def __init__(self, items: Iterable[Item] = (), *, provinces: Iterable[Province] = ()) -> None:
        self.provinces = {province.code: province for province in provinces}
        """Provinces by code; empty in a catalogue that was read from the topic alone."""
        self._items: dict[str, Item] = {}
        self._index = SearchIndex()
        for item in items:
            self.put(item)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __contains__(self, code: object) -> bool:
        return code in self._items

    def get(self, code: str) -> Item | None:
        """Return the current version of an item; None if it is not on offer."""
        return self._items.get(code)

    def put(self, item: Item) -> bool:
        """Offer an item or its new version; return False if it is no newer than the present one."""
        present = self._items.get(item.code)
        if present is not None and present.version >= item.version:
            return False
        self.remove(item.code)
        self._items[item.code] = item
        self._index.add(item)
        return True

    def remove(self, code: str) -> None:
        """Stop offering an item."""
        item = self._items.pop(code, None)
        if item is not None:
            self._index.discard(item)

    def filter(
        self,
        *,
        zone: str | None = None,
        province: str | None = None,
        domain: str | None = None,
        kind: str | None = None,
        audience: str | None = None,
    ) -> list[Item]:
        """Return the items that match all given arguments, the most used first.

        An `audience` of person or company also matches the items for both.

        Raises:
            ValueError: the zone, kind or audience does not exist.
        """
        wanted = _Wanted(zone, province, domain, kind, audience)
        found = [item for item in self._items.values() if wanted.admits(item)]
        return sorted(found, key=lambda item: (-item.usage, item.code))

    def search(
        self,
        query: str,
        *,
        zone: str | None = None,
        province: str | None = None,
        domain: str | None = None,
        kind: str | None = None,
        audience: str | None = None,
        near_zone: str | None = None,
        near_province: str | None = None,
        uses: Mapping[str, int] | None = None,
    ) -> list[Item]:
        """Return the items that a person may mean by `query`, best first (see `search.py`).

        The first five arguments filter as in `filter`. `near_zone` and `near_province` are the
        kiosk's: an item there comes before one elsewhere that matches as well or a little better,
        but not before one whose name is exactly the query. Among equals the most used come first:
        `uses` has the number of requests by item code, and is added to the catalogue's `usage`.

        Raises:
            ValueError: the zone, kind or audience does not exist.
        """
        wanted = _Wanted(zone, province, domain, kind, audience)
        counted = uses or {}

        def rank(found: tuple[int, Item]) -> tuple[int, int, str]:
            score, item = found
            near = _IN_ZONE * (near_zone in item.zones)
            near += _IN_PROVINCE * (near_province == item.province)
            return (-score - near, -item.usage - counted.get(item.code, 0), item.code)

        found = [each for each in self._index.find(query) if wanted.admits(each[1])]
        return [item for _, item in sorted(found, key=rank)]

    def summary(self) -> dict[str, ZoneSummary]:
        """Return the counts of each zone, in the shape of `GET /v1/catalogue/summary`."""
        return {zone.value: _summarise(self.filter(zone=zone)) for zone in Zone}


class _Wanted:
    """The criteria of a filter; None matches everything."""

    def __init__(
        self,
        zone: str | None,
        province: str | None,
        domain: str | None,
        kind: str | None,
        audience: str | None,
    ) -> None:
        self._zone = Zone(zone) if zone else None
        self._province = province
        self._domain = domain
        self._kind = ItemKind(kind) if kind else None
        self._audiences = (Audience(audience), Audience.BOTH) if audience else ()

    def admits(self, item: Item) -> bool:
        """Return True if an item matches."""
        return (
            (self._zone is None or self._zone in item.zones)
            and (self._province is None or item.province == self._province)
            and (self._domain is None or item.domain == self._domain)
            and (self._kind is None or item.kind is self._kind)
            and (not self._audiences or item.audience in self._audiences)
        )


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
