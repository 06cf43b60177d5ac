"""What the day holds: who asks for what, at which kiosk, and what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tongban_common.catalogue.models import Item


@dataclass(frozen=True, slots=True)
class Visit:
    """One submission at one kiosk. `key` is its Idempotency-Key, kept through every retry."""

    kiosk_id: str
    branch_id: str
    key: str
    body: dict[str, Any]
    prints: bool


def kiosks(count: int) -> list[tuple[str, str]]:
    """Kiosk and branch ids: four kiosks to a branch."""
    return [(f"k-310115-{n:03d}", f"b-310115-{(n - 1) // 4 + 1:02d}") for n in range(1, count + 1)]


def visits(items: Sequence[Item], *, count: int, kiosk_count: int, day: str) -> list[Visit]:
    """The day's submissions in order: everything that prints, then others of all provinces as far
    as they go round, a quarter of them with the lobby manager's help. The same `day` gives the same
    plan."""
    dice = random.Random(day)
    places = kiosks(kiosk_count)
    offered = dice.sample(items, len(items))
    offered.sort(key=lambda item: item.document is None)
    order = [offered[n % len(offered)] for n in range(count)]
    dice.shuffle(order)
    planned = []
    for number, item in enumerate(order):
        kiosk_id, branch_id = places[number % len(places)]
        assisted = dice.random() < 0.25
        body: dict[str, Any] = {
            "item_code": item.code,
            "channel": "assisted" if assisted else "self_service",
            "applicant": item.example_applicant,
            "form": item.example_form,
        }
        if assisted:
            body["assistant"] = f"lm-{branch_id[-2:]}"
        planned.append(
            Visit(kiosk_id, branch_id, f"{day}-{number:05d}", body, item.document is not None)
        )
    return planned


@dataclass(frozen=True, slots=True)
class Mishaps:
    """What goes wrong during the day. Shares of the submissions say when."""

    down: tuple[str, ...] = ("440000", "520000")
    dropping: tuple[str, ...] = ("110000", "120000", "130000")
    """One of each manner: honours our key, refuses a repeat, would act twice."""
    down_from: float = 0.3
    down_until: float = 0.6
    kills_each: int = 2
