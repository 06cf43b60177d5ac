"""Build and parse item codes in the manner of GB/T 39554.1: seventeen digits with a check digit.

    310000 20 14 001 000 7
    │      │  │  │   │   └ check digit, GB/T 17710 (ISO 7064 MOD 11,10) over the sixteen before
    │      │  │  │   └──── sub-item, 000 where the item is not divided
    │      │  │  └──────── serial within type and department
    │      │  └─────────── department in charge
    │      └────────────── type of matter
    └───────────────────── region that implements it, GB/T 2260

GB/T 39554.1-2020 and the local standards before it (DB52/T 1264) define the idea and the order of
the parts: a *basic* code of type, main item and sub-item, the same in the whole country, joined
with the implementing body. GB/T 2260 defines the region, and the national list of matters the types
in `TYPES`. The rest is this project's choice, because the text of the standard was not available to
verify it: the width of department and serial, the numbering of departments (`terms.yaml`), the
region in place of the implementing body's credit code, and GB/T 17710 for the check digit.

A code has digits only, so that it can be typed on a number pad. It is always a string, because it
exceeds the 53 bits that JSON readers may keep of a number.
"""

from __future__ import annotations

from dataclasses import dataclass

from stdnum.iso7064 import mod_11_10

BASIC_LENGTH = 10
CODE_LENGTH = 6 + BASIC_LENGTH + 1

TYPES = {
    "01": "行政许可",
    "05": "行政给付",
    "07": "行政确认",
    "08": "行政奖励",
    "10": "其他行政权力",
    "20": "公共服务",
}
"""Types of matters that are handled on application; penalties and inspections are left out."""


@dataclass(frozen=True, slots=True)
class ItemCode:
    """Parts of an item code; `str()` joins them and appends the check digit."""

    region: str
    type: str
    department: str
    serial: str
    sub: str

    @property
    def basic(self) -> str:
        """Return the ten digits that all provinces share."""
        return self.type + self.department + self.serial + self.sub

    def __str__(self) -> str:
        body = self.region + self.basic
        return body + str(mod_11_10.calc_check_digit(body))


def make(region: str, basic: str) -> str:
    """Return the code of the category `basic` (ten digits) in `region` (six digits)."""
    return str(ItemCode(region, basic[:2], basic[2:4], basic[4:7], basic[7:]))


def parse(code: str) -> ItemCode:
    """Parse an item code.

    Raises:
        ValueError: it does not have seventeen digits, its type is not in `TYPES`, or its check
            digit is wrong.
    """
    if len(code) != CODE_LENGTH or not (code.isascii() and code.isdigit()):
        raise ValueError(f"an item code has {CODE_LENGTH} digits, not {code!r}")
    body = code[:-1]
    wanted = str(mod_11_10.calc_check_digit(body))
    if code[-1] != wanted:
        raise ValueError(f"the check digit of {code} should be {wanted}")
    parts = ItemCode(code[:6], code[6:8], code[8:10], code[10:13], code[13:16])
    if parts.type not in TYPES:
        raise ValueError(f"{parts.type} in {code} is no type of matter: {', '.join(TYPES)}")
    return parts
