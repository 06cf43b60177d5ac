"""Interpret the codes with which gateways refuse calls; docs/connectors.md explains them."""

from __future__ import annotations

import re

from tongban_connectors import texts

REJECTED = {
    "unknown_item": texts.ITEM_NOT_OFFERED,
}
"""Codes of submissions that the province will never accept, from any applicant; the request ends as
rejected, with this reason. Every other refusal of a submission is a misunderstanding between two
programs (a form that the gateway cannot read, a route that it does not have). An operator can mend
that, so the request is held, and the applicant need not come again."""
DISTRUST = frozenset({"missing_header", "unknown_paasid", "stale", "bad_signature"})
"""Codes of a gateway that did not recognise the sender."""
_CODE = re.compile(r"(?!.*[0-9]{7})[a-z0-9_]{1,40}")
"""Without a run of seven digits: a gateway may send a phone or ID number instead of its code."""
NOT_EXPRESSIBLE = "not_expressible"
"""Our own code: the protocol cannot carry the form, so nothing was sent."""


def code_of(value: object) -> str:
    """Return a gateway's code if it is fit for logs and dead letters, else "unspecified"."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "unspecified"


def cause_of(code: str) -> str:
    """Return the cause of a dead letter for a refused call, for operators."""
    if code == NOT_EXPRESSIBLE:
        return (
            f"refused: {code}; the form holds a character or a number that the protocol of this "
            "province cannot carry, so nothing was sent"
        )
    return f"refused: {code}"
