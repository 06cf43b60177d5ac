"""Free texts about a request, sealed under its data key (ADR 0019).

A province, an operator or an applicant may write a name, an ID number or a phone number into any
text. So such a text is a part of the request's envelope, and only a text of our own may be in clear
beside it. These parts belong to the one event that carries them: they are never merged into the
parts that the request keeps (`applicant`, `form`, `supplement`, `result`).
"""

from __future__ import annotations

from tongban_common.envelope import KeyDestroyedError, KeyRing, UnreadableEnvelopeError
from tongban_common.events.models import Sealed

REASON = "reason"
"""The part with the reason, in the words of a province or of an operator."""
RECEIPT = "receipt"
"""The part with the province's receipt number. Many provinces use the applicant's ID number."""
WORDS = "words"
"""The part with an applicant's comment on a rating."""
OF_ONE_EVENT = frozenset({REASON, RECEIPT, WORDS})
DESTROYED = "详细说明已按期销毁"
"""Shown in place of a text whose key was destroyed."""
NOT_NOW = "详细说明暂时无法显示"
"""Shown in place of a text whose key is not on this process's key ring yet."""
_SEPARATOR = "；"


def seal(keys: KeyRing, request_id: str, sealed: Sealed, **texts: str | None) -> Sealed | None:
    """Return an envelope with these parts alone, under the data key of `sealed`; None without text.

    Raises:
        UnreadableEnvelopeError: the data key cannot be unwrapped (`KeyDestroyedError`,
            `KeyMissingError`, or altered).
    """
    present = {name: text for name, text in texts.items() if text is not None}
    if not present:
        return None
    return keys.add(request_id, sealed.model_copy(update={"parts": {}}), present)


def part_of(sealed: Sealed | None, name: str) -> str | None:
    """Return the sealed part as the event carries it; None if the event has no such part."""
    return None if sealed is None else sealed.parts.get(name)


def with_part(sealed: Sealed, name: str, box: str | None) -> Sealed:
    """Return the envelope with a part that was sealed for the same request; unchanged for None."""
    if box is None:
        return sealed
    return sealed.model_copy(update={"parts": {**sealed.parts, name: box}})


def reason_for_people(
    keys: KeyRing, request_id: str, sealed: Sealed, box: str | None, clear: str | None
) -> str | None:
    """Return the reason to show to a person who may read it.

    If the sealed reason cannot be opened, return `clear` with a note that says so.

    Args:
        box: the sealed part `reason`; None if the author's text was not sealed.
        clear: our own text, or the reason of an event from before reasons were sealed.
    """
    if box is None:
        return clear
    try:
        return str(keys.open(request_id, with_part(sealed, REASON, box), REASON))
    except KeyDestroyedError:
        note = DESTROYED
    except UnreadableEnvelopeError:
        note = NOT_NOW
    return note if clear is None else f"{clear}{_SEPARATOR}{note}"
