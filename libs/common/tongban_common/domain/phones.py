"""Normalise mobile numbers, so that one number written in several ways is recognised."""

from __future__ import annotations

import re
import unicodedata

from tongban_common.domain.ids import pseudonym

_MOBILE = re.compile(r"1[3-9][0-9]{9}")


def phone_number(text: str) -> str:
    """Return a number in ASCII digits, without spaces, dashes and the code of China.

    A text that is no number comes back without those characters and otherwise unchanged.
    """
    digits = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text))
    return re.sub(r"^(\+|00)?86(?=1[0-9]{10}$)", "", digits)


def is_mobile(number: str) -> bool:
    """Return True for a mainland mobile number in the form that `phone_number` returns."""
    return _MOBILE.fullmatch(number) is not None


def optout_key(secret: str, number: str) -> str:
    """Return the key of `control.optouts` for a number in the form that `phone_number` returns.

    The digest is keyed: without a key all mobile numbers could be tried in an hour.
    """
    return pseudonym(secret, kind="optout", number=number)
