"""What a run is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.models import Item, ItemKind

PROTOCOLS = ("rest", "rest_callback", "soap")
"""As `catalogue/provinces.yaml` names them."""
TEST_ITEM = "conformance"
"""The item code of a province that keeps one for tests and whose catalogue entry we lack."""


@dataclass(frozen=True, slots=True)
class Example:
    """An item with an applicant and a form that it takes."""

    code: str
    name: str
    kind: str
    applicant: dict[str, Any]
    form: dict[str, Any]

    @classmethod
    def of(cls, item: Item) -> Example:
        """The catalogue's own example of an item."""
        return cls(item.code, item.name, item.kind.value, item.example_applicant, item.example_form)


NOBODY = {
    "type": "person",
    "name": "测试",
    "id_type": "resident_id",
    "id_number": "110101190001010006",
    "phone": "13800000000",
}
"""An applicant who is nobody: born in 1900, the number 000 of the day."""
_MADE_UP = Example(TEST_ITEM, "一致性测试", ItemKind.HANDLE.value, NOBODY, {})


def examples(catalogue: Catalogue, province: str, codes: Sequence[str]) -> tuple[Example, ...]:
    """The items to test with: those of `codes`, else one each to handle, to print and to query.

    Several, since what is handled is more likely to stay open for a while, and what is queried to
    be finished at once, and both are needed; that is their order. A code that the catalogue does
    not have (e.g. `conformance`) goes with an applicant who is nobody and an empty form.
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
    """One run. Seconds are wall clock."""

    url: str
    protocol: str
    province: str
    secret: str
    examples: tuple[Example, ...]
    timeout_s: float = 10.0
    """What the catalogue allows a call to take."""
    connect_timeout_s: float = 2.0
    rate_per_s: float = 200.0
    """Calls a second, at most, as the catalogue has it."""
    parallel: int = 8
    """Submissions of one id at the same time."""
    rate_limit: int = 0
    """Look-ups with which to provoke a throttling; 0: not tried."""
    idle_s: float = 3.0
    """How long a connection is left alone."""
    settle_s: float = 1.0
    """How far `act_before` lies ahead where it is to pass."""
    wait_s: float = 30.0
    """How long a callback is waited for."""
    callback_url: str = ""
    """Where the gateway reaches this machine; empty: the loopback, if the gateway is there too."""
    callback_port: int = 0

    @property
    def patience_s(self) -> float:
        """How long the kit itself waits for an answer: longer than a connector would, so that one
        slow answer is told as slow, and not as a dozen things that do not hold."""
        return max(3 * self.timeout_s, 15.0)
