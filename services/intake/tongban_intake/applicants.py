"""Compare applicants by a keyed digest of document number, name and phone together.

The number alone proves nothing, because ID numbers are widely leaked. Only a caller who knows all
three learns what this applicant has in progress.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from tongban_common.domain import ids
from tongban_common.envelope import KeyRing, UnreadableEnvelopeError
from tongban_common.events.models import Sealed

_LONGEST = 254
_LONGEST_NUMBER = 32
_MAINLAND = "+86"


def applying_key(item_code: str, pseudonym: str) -> str:
    """Return the key that all requests of one applicant for one item share."""
    return f"{item_code}:{pseudonym}"


def applying(secret: str, body: dict[str, Any]) -> str | None:
    """Return the `applying_key` of a body that has not been checked yet; None where it lacks the
    item or the applicant's number."""
    applicant, code = body.get("applicant"), body.get("item_code")
    if not isinstance(applicant, dict):
        return None
    company = applicant.get("type") == "company"
    kind = "uscc" if company else applicant.get("id_type")
    number = applicant.get("uscc" if company else "id_number")
    for each in (code, kind, number):
        if not isinstance(each, str) or not 0 < len(each) <= _LONGEST_NUMBER:
            return None
    return applying_key(code, ids.pseudonym(secret, kind=kind, number=number))  # type: ignore[arg-type]


def digest(secret: str, applicant: Any) -> str | None:
    """Return the digest of an applicant as submitted (docs/contract.md), checked or not; None where
    the number, the name or the phone is missing. Equal for two spellings of the same applicant.

    The digest never leaves this process: neither a topic nor the store nor a log has it.
    """
    if not isinstance(applicant, dict):
        return None
    company = applicant.get("type") == "company"
    human = applicant.get("agent") if company else applicant
    if not isinstance(human, dict):
        return None
    parts = [human.get("id_type"), human.get("id_number"), human.get("name"), human.get("phone")]
    if company:
        parts += [applicant.get("uscc"), applicant.get("name")]
    plain = [comparable(e) for e in parts if isinstance(e, str) and 0 < len(e) <= _LONGEST]
    if len(plain) != len(parts):
        return None
    plain[3] = plain[3].removeprefix(_MAINLAND)
    kind = "company applicant" if company else "person applicant"
    return ids.pseudonym(secret, kind=kind, number="\x1f".join(plain))


def comparable(text: str) -> str:
    """Return a text in upper case and half width, without spaces and hyphens, so that two spellings
    of it are equal."""
    folded = unicodedata.normalize("NFKC", text).upper()
    return "".join(each for each in folded if not each.isspace() and each != "-")


class SealedApplicants:
    """Computes the digest of the applicant in an envelope of the read model."""

    def __init__(self, keys: KeyRing, secret: str) -> None:
        self._keys = keys
        self._secret = secret

    def digest(self, document: dict[str, Any]) -> str | None:
        """Return the digest for a document with `_id` and `sealed`; None where the envelope cannot
        be opened, because its key was destroyed or is not on this replica."""
        try:
            sealed = Sealed.model_validate(document["sealed"])
            applicant = self._keys.open(document["_id"], sealed, "applicant")
        except (KeyError, ValueError, UnreadableEnvelopeError):
            return None
        return digest(self._secret, applicant)
