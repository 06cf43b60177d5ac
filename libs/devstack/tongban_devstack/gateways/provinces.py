"""Define the simulated provinces, and how each gateway behaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tongban_common.catalogue.holidays import Holidays, load_holidays
from tongban_common.catalogue.models import ServiceHours
from tongban_common.catalogue.provinces import load_provinces as from_catalogue

NAMES = {
    "110000": "北京市",
    "120000": "天津市",
    "130000": "河北省",
    "140000": "山西省",
    "150000": "内蒙古自治区",
    "210000": "辽宁省",
    "220000": "吉林省",
    "230000": "黑龙江省",
    "310000": "上海市",
    "320000": "江苏省",
    "330000": "浙江省",
    "340000": "安徽省",
    "350000": "福建省",
    "360000": "江西省",
    "370000": "山东省",
    "410000": "河南省",
    "420000": "湖北省",
    "430000": "湖南省",
    "440000": "广东省",
    "450000": "广西壮族自治区",
    "460000": "海南省",
    "500000": "重庆市",
    "510000": "四川省",
    "520000": "贵州省",
    "530000": "云南省",
    "540000": "西藏自治区",
    "610000": "陕西省",
    "620000": "甘肃省",
    "630000": "青海省",
    "640000": "宁夏回族自治区",
    "650000": "新疆维吾尔自治区",
}
"""Codes and names of GB/T 2260, for a simulation without a catalogue."""


class Manner(StrEnum):
    """Reaction of a gateway to a repeated call (same request id and effect)."""

    HONOUR = "honour"  # the same answer again
    REFUSE = "refuse"  # 409 duplicate
    TWICE = "twice"  # acts again: only a look-up protects


MANNERS = (Manner.HONOUR, Manner.REFUSE, Manner.TWICE)
PROTOCOLS = ("rest", "rest_callback", "soap")
"""Protocols. Three provinces in a row have the same one, as in the catalogue, so that every
combination of protocol and manner occurs."""


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours of a province; times are business time."""

    hours: ServiceHours
    holidays: Holidays

    def is_open(self, moment: datetime) -> bool:
        """Return True if the province accepts calls at that time."""
        return self.holidays.is_open(self.hours, moment)

    def next_open(self, moment: datetime) -> datetime:
        """Return `moment` if the province is open then, else its next opening."""
        return self.holidays.next_opening(self.hours, moment)


@dataclass(frozen=True, slots=True)
class SimulatedProvince:
    """One simulated province; without `opening_hours` it is open round the clock."""

    code: str
    name: str
    manner: Manner
    makes_documents: bool
    """Its results for print come as a document that it issues itself."""
    opening_hours: OpeningHours | None = None
    protocol: str = "rest"

    @property
    def keeps_hours(self) -> bool:
        """Return True if it is ever closed."""
        return self.opening_hours is not None


def load_provinces() -> dict[str, SimulatedProvince]:
    """Return the provinces of `catalogue/provinces.yaml` by code, in the order of their codes, on
    which their manners depend. Without a catalogue none ever closes.

    Raises:
        CatalogueError: the file exists and is wrong.
    """
    names, counters = NAMES, dict[str, OpeningHours]()
    protocols = {code: PROTOCOLS[n // 3 % 3] for n, code in enumerate(sorted(NAMES))}
    try:
        listed, holidays = from_catalogue(), load_holidays()
    except FileNotFoundError:
        pass
    else:
        names = {code: province.name for code, province in listed.items()}
        protocols = {code: province.gateway.protocol for code, province in listed.items()}
        counters = {
            code: OpeningHours(province.gateway.hours, holidays)
            for code, province in listed.items()
            if province.gateway.hours is not None
        }
    return {
        code: SimulatedProvince(
            code,
            names[code],
            MANNERS[index % 3],
            # Mix index and index // 3, so that each manner has provinces that issue documents.
            makes_documents=(index + index // 3) % 3 == 0,
            opening_hours=counters.get(code),
            protocol=protocols[code],
        )
        for index, code in enumerate(sorted(names))
    }
