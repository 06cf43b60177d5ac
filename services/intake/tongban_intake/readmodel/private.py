"""Open the sealed reasons in lines of the timeline, for readers who may see them."""

from __future__ import annotations

from typing import Any

from tongban_common.envelope import KeyRing
from tongban_common.events.models import RequestStatus
from tongban_common.private_texts import reason_for_people
from tongban_intake.readmodel.record import RequestRecord

Line = dict[str, Any]


def in_words(line: Line, of: RequestRecord | RequestStatus, keys: KeyRing) -> Line:
    """Return a stored line with its sealed reason opened, or a placeholder where it cannot be.

    `of` is the request or event whose envelope has the key of the reason.
    """
    if "private" not in line:
        return line
    shown = {name: value for name, value in line.items() if name != "private"}
    reason = reason_for_people(keys, of.request_id, of.sealed, line["private"], line.get("reason"))
    return {**shown, "reason": reason}
