"""Index the catalogue items on offer: follow catalogue.items, serialize each item once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import orjson

from tongban_common.catalogue import Catalogue, Item, ZoneSummary
from tongban_common.topics import CATALOGUE_ITEMS
from tongban_kafka import CompactedView, KafkaAddress

Listed = dict[str, Any]


class ItemFilters(TypedDict):
    """Holds the filters of `Catalogue.filter` and `Catalogue.search`."""

    zone: str | None
    province: str | None
    domain: str | None
    kind: str | None
    audience: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Holds one page of a result. `total` counts the items of all pages; `next_page` is None on the
    last page."""

    items: list[Item]
    total: int
    next_page: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Holds totals of the catalogue, by zone, and the number of items by domain. `provinces` maps
    the code of each province that offers anything to its name, in the order of GB/T 2260."""

    summary: dict[str, ZoneSummary]
    provinces: dict[str, str]
    domains: dict[str, int]


class CatalogueIndex:
    """Keeps the catalogue as the topic has it. Replicas with the same items have the same
    `revision`, so that an ETag from one replica is valid at every other."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self._details: dict[str, bytes] = {}
        self._revision = 0
        self.changes = 0
        """Counts items that were published or withdrawn since the start."""
        self._overview: Overview | None = None
        self._view: CompactedView[Item] | None = None

    def view(self, bootstrap: KafkaAddress) -> CompactedView[Item]:
        """Return the reader of the topic that keeps this index up to date; the caller runs it."""
        self._view = CompactedView(
            bootstrap, CATALOGUE_ITEMS, Item.from_record, on_change=self.change
        )
        return self._view

    @property
    def complete(self) -> bool:
        """True once the topic has been read up to the end offset that it had at the start."""
        return self._view is not None and self._view.ready

    def change(self, code: str, item: Item | None) -> None:
        """Put an item or a new version of it on offer, or withdraw it (None)."""
        self.changes += 1
        old = self._details.pop(code, None)
        if old is not None:
            self._revision ^= _fingerprint(old)
        # The newest record decides, even if its item has a lower version: an operator put it back.
        self.catalogue.remove(code)
        self._overview = None
        if item is not None:
            self.catalogue.put(item)
            body = orjson.dumps(details(item))
            self._details[code] = body
            self._revision ^= _fingerprint(body)

    def get(self, code: str) -> Item | None:
        """Return the item as it is offered now; None where it is not."""
        return self.catalogue.get(code)

    def details(self, code: str) -> bytes | None:
        """Return the body of `GET /v1/catalogue/items/{code}`; None where it is not offered."""
        return self._details.get(code)

    def tag(self, code: str) -> str:
        """Return the ETag of one item, which is on offer; it changes with the item."""
        return f"{_fingerprint(self._details[code]):032x}"

    def page(
        self,
        filters: ItemFilters,
        *,
        q: str | None,
        page: int,
        page_size: int,
        near_zone: str | None = None,
    ) -> Page:
        """Return one page of the items that match: best match first where there are words to search
        for, else most used first.

        Args:
            filters: one that is None matches all items.
            q: the words to search for.
            page: counts from 1.
            near_zone: the kiosk's zone; its items come first among equally good matches.
        """
        if q and q.strip():
            found = self.catalogue.search(q, near_zone=near_zone, **filters)
        else:
            found = self.catalogue.filter(**filters)
        start = (page - 1) * page_size
        end = start + page_size
        return Page(found[start:end], len(found), page + 1 if end < len(found) else None)

    @property
    def revision(self) -> str:
        """ETag of the whole catalogue; it changes with any item."""
        return f"{self._revision:032x}"

    @property
    def overview(self) -> Overview:
        """Totals of all items, counted once after each change."""
        if self._overview is None:
            provinces = {item.province: item.province_name for item in self.catalogue}
            self._overview = Overview(
                summary=self.catalogue.summary(),
                provinces=dict(sorted(provinces.items())),
                domains=Counter(item.domain for item in self.catalogue),
            )
        return self._overview

    def readiness(self) -> str | None:
        """Return None if requests for every item on offer can be accepted, else the reason."""
        if not self.complete:
            return f"{CATALOGUE_ITEMS} is still being read"
        return None if len(self.catalogue) else f"no item has been published on {CATALOGUE_ITEMS}"


def _fingerprint(body: bytes) -> int:
    return int.from_bytes(hashlib.sha256(body).digest()[:16], "big")


def listed(item: Item) -> Listed:
    """Return an item as lists show it (docs/contract.md)."""
    return {
        "code": item.code,
        "name": item.name,
        "name_en": item.name_en,
        "province": item.province,
        "province_name": item.province_name,
        "category": item.category,
        "domain": item.domain,
        "kind": item.kind.value,
        "zones": [zone.value for zone in item.zones],
        "audience": item.audience.value,
        "printable": item.printable,
    }


def details(item: Item) -> Mapping[str, Any]:
    """Return an item with its form and its examples (docs/contract.md)."""
    return {
        **listed(item),
        "version": item.version,
        "department": item.department,
        "partner": item.partner,
        "form": item.form,
        "example_form": item.example_form,
        "example_applicant": item.example_applicant,
        "materials": [material.model_dump() for material in item.materials],
        "limits": item.limits.model_dump(),
        "fee": item.fee.model_dump(),
        "hours": item.hours.model_dump(mode="json"),
        "mode": item.mode.value,
        "document": item.document.model_dump() if item.document else None,
    }
