"""Mobile numbers: how one number is recognised however it was written."""

from __future__ import annotations

import re
import unicodedata

from tongban_common.domain.ids import pseudonym

_MOBILE = re.compile(r"1[3-9][0-9]{9}")


def phone_number(text: str) -> str:
    """Return a number as it is compared and sent to: in ASCII digits, without spaces, dashes and
    the country's code. A text that is no number comes back as it is, but for those."""
    digits = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text))
    return re.sub(r"^(\+|00)?86(?=1[0-9]{10}$)", "", digits)


def is_mobile(number: str) -> bool:
    """Return True for a mobile number of the mainland, as `phone_number` returns it."""
    return _MOBILE.fullmatch(number) is not None


def optout_key(secret: str, number: str) -> str:
    """Return the key of `control.optouts` for a number, as `phone_number` returns it: keyed, as all
    mobile numbers could be tried in an hour."""
    return pseudonym(secret, kind="optout", number=number)
