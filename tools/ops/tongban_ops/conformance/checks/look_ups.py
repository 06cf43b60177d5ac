"""Check look-ups, on which the protection against double effects rests."""

from __future__ import annotations

from tongban_ops.conformance.kit import Kit, withdrawn
from tongban_ops.conformance.verdicts import CheckFailedError


async def unknown(kit: Kit) -> str:
    """After an unclear answer a connector looks up, and sends again only on a signed `unknown`."""
    request_id = f"{kit.run}-never-sent"
    if await kit.gateway.look_up(request_id) is not None:
        raise CheckFailedError(f"it knows {request_id}, which was never sent")
    return "said with a signature"


async def look_up(kit: Kit) -> str:
    """An accepted application is known at once: a connector that died after sending looks it up."""
    known = await kit.known_twice(kit.first)
    if withdrawn(known):
        raise CheckFailedError("it is withdrawn, and nobody withdrew it")
    return f"{known.state}, receipt {known.receipt or 'without a number'}"
