"""Plan the day: submissions, kiosks and faults."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tongban_common.catalogue.models import Item


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One submission at one kiosk. `key` is its Idempotency-Key, the same in every retry."""

    kiosk_id: str
    branch_id: str
    key: str
    body: dict[str, Any]
    prints: bool
    case: str | None = None
    """The item's title if it is a case of `catalogue/published.yaml`."""


def kiosks(count: int) -> list[tuple[str, str]]:
    """Return kiosk and branch ids, four kiosks to a branch."""
    return [(f"k-310115-{n:03d}", f"b-310115-{(n - 1) // 4 + 1:02d}") for n in range(1, count + 1)]


def visits(
    items: Sequence[Item], cases: Sequence[Item], *, count: int, kiosk_count: int, day: str
) -> list[PlannedVisit]:
    """Plan the day's submissions in order; the same `day` gives the same plan.

    The published cases come first, then everything that prints, then other items of all provinces
    in turn. A lobby manager helps with a quarter of them, and with every transfer between two
    provinces.
    """
    rng = random.Random(day)
    by_name = {item.code: item.title for item in cases}
    offered = rng.sample(items, len(items))
    offered.sort(key=lambda item: (item.code not in by_name, item.document is None))
    order = [offered[n % len(offered)] for n in range(count)]
    rng.shuffle(order)
    places = kiosks(kiosk_count)
    planned = []
    for number, item in enumerate(order):
        kiosk_id, branch_id = places[number % len(places)]
        helper = f"lm-{branch_id[-2:]}" if item.partner or rng.random() < 0.25 else None
        planned.append(
            PlannedVisit(
                kiosk_id,
                branch_id,
                key=f"{day}-{number:05d}",
                body=_body(item, helper),
                prints=item.document is not None,
                case=by_name.get(item.code),
            )
        )
    return planned


def _body(item: Item, helper: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "item_code": item.code,
        "channel": "assisted" if helper else "self_service",
        "applicant": item.example_applicant,
        "form": item.example_form,
    }
    return {**body, "assistant": helper} if helper else body


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """Faults of the day; moments are shares of the day's submissions, from 0 to 1."""

    down: tuple[str, ...] = ("440000", "520000")
    dropping: tuple[str, ...] = ("110000", "120000", "130000")
    """One province of each manner: honours the key, refuses a repeat, acts twice."""
    down_from: float = 0.3
    down_until: float = 0.6
    kills_each: int = 2
