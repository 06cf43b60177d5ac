"""Free texts about a request, sealed under its data key (ADR 0019).

A province, an operator or an applicant may write a name, an ID number or a phone number into any
text. So such a text is a part of the request's envelope, and in clear stands at most a text of our
own. These parts belong to the one event that carries them: they are never merged into the parts
that the request keeps (`applicant`, `form`, `supplement`, `result`).
"""

from __future__ import annotations

from tongban_common.envelope import KeyDestroyedError, KeyRing, UnreadableEnvelopeError
from tongban_common.events.models import Sealed

REASON = "reason"
"""Why: in the words of a province or of an operator."""
RECEIPT = "receipt"
"""The number under which a province keeps the request. Many provinces take the ID number."""
WORDS = "words"
"""What an applicant wrote beside a grade."""
OF_ONE_EVENT = frozenset({REASON, RECEIPT, WORDS})
DESTROYED = "详细说明已按期销毁"
"""Shown instead of words whose key was destroyed."""
NOT_NOW = "详细说明暂时无法显示"
"""Shown instead of words whose key has not come to this process yet."""
_SEPARATOR = "；"


def seal(keys: KeyRing, request_id: str, sealed: Sealed, **texts: str | None) -> Sealed | None:
    """Return an envelope with these parts alone, under the data key of `sealed`; None for no text.

    Raises:
        UnreadableEnvelopeError: the data key cannot be unwrapped (`KeyDestroyedError`,
            `KeyMissingError`, or altered).
    """
    given = {name: text for name, text in texts.items() if text is not None}
    if not given:
        return None
    return keys.add(request_id, sealed.model_copy(update={"parts": {}}), given)


def part_of(sealed: Sealed | None, name: str) -> str | None:
    """Return the sealed bytes of a part as the event carries them; None if it carries none."""
    return None if sealed is None else sealed.parts.get(name)


def with_part(sealed: Sealed, name: str, box: str | None) -> Sealed:
    """Return the envelope with a part that was sealed for the same request; as is without one."""
    if box is None:
        return sealed
    return sealed.model_copy(update={"parts": {**sealed.parts, name: box}})


def reason_for_people(
    keys: KeyRing, request_id: str, sealed: Sealed, box: str | None, clear: str | None
) -> str | None:
    """Return the reason to show to a person who may read it.

    Args:
        box: the sealed part `reason`; None where the author's words were not sealed.
        clear: our own text, or the reason of an event from before reasons were sealed.

    Where the words cannot be opened, our own text is returned with a note that says so.
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
