"""Compare what intake accepted during a rolling restart with the ledgers of the outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiohttp

from tongban_devstack.load.steady import Phase, SteadyKiosks, outside_counts

PATIENCE_S = 180.0
_GATEWAYS, _DEVICES = "http://gateways:8080", "http://devices:8080"


async def outcome(kiosks: SteadyKiosks, phases: Sequence[Phase]) -> dict[str, int]:
    """Return what became of the accepted requests, in numbers.

    A request is lost if it did not complete, was not submitted to its province, or had no message
    or no sheet; doubled if one of these came about twice.
    """
    accepted = {request_id for phase in phases for request_id in phase.due}
    completed = {each for each in accepted if kiosks.ended.get(each, (0, ""))[1] == "completed"}
    deadline = time.monotonic() + PATIENCE_S
    async with aiohttp.ClientSession() as http:
        while True:
            effects = await outside_counts(http, f"{_GATEWAYS}/ledger", "request_id", "effect")
            messages = await outside_counts(http, f"{_DEVICES}/messages", "request_id", "template")
            sheets = await outside_counts(http, f"{_DEVICES}/printed", "request_id", "document_id")
            served = {key[0] for key in effects} & {key[0] for key in messages}
            printed = {key[0] for key in sheets} | (accepted - kiosks.printing)
            lost = accepted - (completed & served & printed)
            if not lost or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
    counted = (effects, messages, sheets)
    doubled = {key[0] for each in counted for key, count in each.items() if count > 1}
    return {
        "accepted": len(accepted),
        "completed": len(completed),
        "sheets": sum(sheets[key] for key in sheets if key[0] in accepted),
        "messages": sum(messages[key] for key in messages if key[0] in accepted),
        "lost": len(lost),
        "doubled": len(doubled & accepted),
        "refused": sum(len(phase.refused) for phase in phases),
        "given up": sum(phase.given_up for phase in phases),
    }
