"""Define the options of one conformance run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.models import Item, ItemKind

PROTOCOLS = ("rest", "rest_callback", "soap")
"""Protocols as `catalogue/provinces.yaml` names them."""
TEST_ITEM = "conformance"
"""Item code for tests at a province whose catalogue entry is missing."""


@dataclass(frozen=True, slots=True)
class Example:
    """An item with an applicant and a form that it accepts."""

    code: str
    name: str
    kind: str
    applicant: dict[str, Any]
    form: dict[str, Any]

    @classmethod
    def of(cls, item: Item) -> Example:
        """Return the catalogue's own example of an item."""
        return cls(item.code, item.name, item.kind.value, item.example_applicant, item.example_form)


NOBODY = {
    "type": "person",
    "name": "测试",
    "id_type": "resident_id",
    "id_number": "110101190001010006",
    "phone": "13800000000",
}
"""A fictional applicant: born in 1900, with serial number 000."""
_MADE_UP = Example(TEST_ITEM, "一致性测试", ItemKind.HANDLE.value, NOBODY, {})


def examples(catalogue: Catalogue, province: str, codes: Sequence[str]) -> tuple[Example, ...]:
    """Return the items to test with: those of `codes`, else one each to handle, to print and to
    query.

    In this order: handled items tend to stay open for a while, queried ones finish at once, and
    checks need both. A code that the catalogue does not have (e.g. `conformance`) gets a fictional
    applicant and an empty form.
    """
    if codes:
        return tuple(_example(catalogue, code) for code in codes)
    found: list[Example] = []
    for kind in (ItemKind.HANDLE, ItemKind.PRINT, ItemKind.QUERY):
        fitting = catalogue.filter(province=province, kind=kind.value, audience="person")
        found += [Example.of(item) for item in fitting[:1]]
    return tuple(found) or (_MADE_UP,)


def _example(catalogue: Catalogue, code: str) -> Example:
    item = catalogue.get(code)
    return Example.of(item) if item else replace(_MADE_UP, code=code)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one conformance run; seconds are wall clock."""

    url: str
    protocol: str
    province: str
    secret: str
    examples: tuple[Example, ...]
    timeout_s: float = 10.0
    """Time-out of a call, from the catalogue."""
    connect_timeout_s: float = 2.0
    rate_per_s: float = 200.0
    """Maximum calls per second, from the catalogue."""
    parallel: int = 8
    """Concurrent submissions of one id."""
    rate_limit: int = 0
    """Look-ups that may be spent on provoking a throttling; 0 skips the check."""
    idle_s: float = 3.0
    """Idle time of a connection."""
    settle_s: float = 1.0
    """Lead of an `act_before` that is to pass."""
    wait_s: float = 30.0
    """Limit of waiting for a callback."""
    callback_url: str = ""
    """URL at which the gateway reaches this machine; empty: the loopback, if the gateway is there
    too."""
    callback_port: int = 0

    @property
    def patience_s(self) -> float:
        """Return how long the kit waits for an answer: longer than a connector, so that one slow
        answer is reported as slow and does not fail a dozen other checks."""
        return max(3 * self.timeout_s, 15.0)
