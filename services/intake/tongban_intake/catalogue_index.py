"""The items on offer, as `catalogue.items` has them now, with what is computed once for each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import orjson

from tongban_common.catalogue import Catalogue, Item, ZoneSummary
from tongban_common.topics import CATALOGUE_ITEMS
from tongban_kafka import CompactedView
from tongban_kafka.security import KafkaAddress

Listed = dict[str, Any]


class ItemFilters(TypedDict):
    """Filters of `Catalogue.filter` and `Catalogue.search`."""

    zone: str | None
    province: str | None
    domain: str | None
    kind: str | None
    audience: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSelection:
    """Which items are wanted; None is no matter."""

    zone: str | None = None
    province: str | None = None
    domain: str | None = None
    kind: str | None = None
    audience: str | None = None
    q: str | None = None

    @property
    def where(self) -> ItemFilters:
        """All but the words."""
        return {
            "zone": self.zone,
            "province": self.province,
            "domain": self.domain,
            "kind": self.kind,
            "audience": self.audience,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """A page of what was found. `next_page` is None on the last one."""

    items: list[Item]
    total: int
    next_page: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Totals by zone; provinces that offer anything, code to name in the order of GB/T 2260; how
    many items each domain has."""

    summary: dict[str, ZoneSummary]
    provinces: dict[str, str]
    domains: dict[str, int]


class CatalogueIndex:
    """A catalogue that follows the topic. Every replica with the same items has the same
    `revision`, so that an ETag holds wherever it is sent next."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self._details: dict[str, bytes] = {}
        self._revision = 0
        self.changes = 0
        """Count how often an item has been published or withdrawn."""
        self._overview: Overview | None = None
        self._view: CompactedView[Item] | None = None

    def view(self, bootstrap: KafkaAddress) -> CompactedView[Item]:
        """A reader of the topic that keeps this up to date; to be run by the caller."""
        self._view = CompactedView(
            bootstrap, CATALOGUE_ITEMS, Item.from_record, on_change=self.change
        )
        return self._view

    @property
    def complete(self) -> bool:
        """Whether the topic has been read to where it ended at the start."""
        return self._view is not None and self._view.ready

    def change(self, code: str, item: Item | None) -> None:
        """Offer an item, a new version of it, or no longer."""
        self.changes += 1
        old = self._details.pop(code, None)
        if old is not None:
            self._revision ^= _fingerprint(old)
        # The topic is the record: what it says last is offered, even an older version put back.
        self.catalogue.remove(code)
        self._overview = None
        if item is not None:
            self.catalogue.put(item)
            body = orjson.dumps(details(item))
            self._details[code] = body
            self._revision ^= _fingerprint(body)

    def get(self, code: str) -> Item | None:
        """The item as it is offered now."""
        return self.catalogue.get(code)

    def details(self, code: str) -> bytes | None:
        """The body of `GET /v1/catalogue/items/{code}`."""
        return self._details.get(code)

    def tag(self, code: str) -> str:
        """Changes whenever this item does."""
        return f"{_fingerprint(self._details[code]):032x}"

    def page(
        self, selection: ItemSelection, *, page: int, page_size: int, near_zone: str | None = None
    ) -> Page:
        """The items that fit: what was searched for best first, what was not most used first.

        `near_zone` is the kiosk's: of what fits a search as well, its own comes first. Pages count
        from 1.
        """
        where = selection.where
        if selection.q and selection.q.strip():
            found = self.catalogue.search(selection.q, near_zone=near_zone, **where)
        else:
            found = self.catalogue.filter(**where)
        start = (page - 1) * page_size
        end = start + page_size
        return Page(found[start:end], len(found), page + 1 if end < len(found) else None)

    @property
    def revision(self) -> str:
        """Changes whenever any item does."""
        return f"{self._revision:032x}"

    @property
    def overview(self) -> Overview:
        """What all items come to; counted once after each change."""
        if self._overview is None:
            provinces = {item.province: item.province_name for item in self.catalogue}
            self._overview = Overview(
                summary=self.catalogue.summary(),
                provinces=dict(sorted(provinces.items())),
                domains=Counter(item.domain for item in self.catalogue),
            )
        return self._overview

    def readiness(self) -> str | None:
        """None, or why not everything that is on offer can be accepted yet."""
        if not self.complete:
            return f"{CATALOGUE_ITEMS} is still being read"
        return None if len(self.catalogue) else f"no item has been published on {CATALOGUE_ITEMS}"


def _fingerprint(body: bytes) -> int:
    return int.from_bytes(hashlib.sha256(body).digest()[:16], "big")


def listed(item: Item) -> Listed:
    """An item in a list (CONTRACT.md)."""
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
    """An item with its form and its examples (CONTRACT.md)."""
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
