"""What a clear no of a gateway is worth. The table for people is in docs/connectors.md."""

from __future__ import annotations

import re

from tongban_connectors import texts

REJECTED = {
    "unknown_item": texts.ITEM_NOT_OFFERED,
}
"""Codes by which a province tells that it will not do this, whoever asks and however often: the
request ends as rejected, with this reason. Every other no to a new application speaks of a fault
between two programs (a form that it cannot read, a route that it does not have): an operator can
mend that, so the request is held and the applicant need not come again."""
DISTRUST = frozenset({"missing_header", "unknown_paasid", "stale", "bad_signature"})
"""Codes by which a gateway tells that it did not recognise the sender."""
_CODE = re.compile(r"(?!.*[0-9]{7})[a-z0-9_]{1,40}")
"""No run of seven digits: a gateway may put a phone or an ID number where its code belongs."""


def code_of(said: object) -> str:
    """A gateway's code as it may stand in logs and dead letters: nothing that is not a code."""
    return said if isinstance(said, str) and _CODE.fullmatch(said) else "unspecified"


NOT_EXPRESSIBLE = "not_expressible"
"""Our own code: the protocol has no way to carry what is to be handed in, so nothing was sent."""


def told(code: str) -> str:
    """Return the cause of a dead letter for a refused call, for operators."""
    if code == NOT_EXPRESSIBLE:
        return (
            f"refused: {code}; the form holds a character or a number that the protocol of this "
            "province cannot carry, so nothing was sent"
        )
    return f"refused: {code}"
