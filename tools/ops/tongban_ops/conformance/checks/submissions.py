"""Check submissions and look-ups: one application for each id, never after `act_before`.

Look-ups protect against double effects: a connector sends again only what the gateway does not
know.
"""

from __future__ import annotations

import asyncio
import time

from tongban_connectors.domain.gateway import AccessDeniedError, GatewayRefusedError
from tongban_ops.conformance.kit import Kit, withdrawn
from tongban_ops.conformance.messages import ReplyContents
from tongban_ops.conformance.verdicts import CheckFailedError
from tongban_ops.conformance.wire import send_and_cut
from tongban_provinces.models import GatewayAnswer

_STATES = "accepted, needs_supplement, completed or rejected"


async def submit(kit: Kit) -> str:
    """A submission takes effect, and its answer names it and has the agreed shape."""
    request_id = kit.fresh()
    answer = await kit.gateway.submit(kit.application(request_id), act_before=kit.soon())
    if withdrawn(answer):
        raise CheckFailedError(f"a new application is {answer.state}, not {_STATES}")
    kit.first = request_id
    return f"{answer.state}, receipt {answer.receipt or 'without a number'}"


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


async def repeat(kit: Kit) -> str:
    """A repeated submission is honoured, refused or acted on, and the look-up reports the truth.

    All three manners work, since a connector looks up before it sends again. The kit cannot see
    what was done silently: count the applications of this id in your own records.
    """
    request_id = kit.fresh()
    first, second = [await kit.ask(kit.submission(request_id), "submission") for _ in range(2)]
    if first.code != "ok":
        raise CheckFailedError(f"the first submission was refused: {first.code}")
    manner = _manner(first, second)
    known = await kit.known(request_id)
    _one_of(known, [first, second])
    return f"{manner}; the look-up tells receipt {known.receipt} ({request_id})"


def _manner(first: ReplyContents, second: ReplyContents) -> str:
    if second.code == "duplicate":
        return "refused as `duplicate`"
    if second.code != "ok":
        raise CheckFailedError(f"a repeat was refused with {second.code}; `duplicate` is agreed")
    if first.receipt != second.receipt:
        return f"acts again ({first.receipt}, then {second.receipt}): the look-up alone protects"
    return "honoured: the same answer again"


def _one_of(known: GatewayAnswer, answers: list[ReplyContents]) -> None:
    receipts = {said.receipt for said in answers if said.code == "ok"}
    if known.receipt not in receipts:
        listed = ", ".join(sorted(map(str, receipts)))
        raise CheckFailedError(
            f"the look-up tells receipt {known.receipt}, the answers told {listed}"
        )


async def concurrent(kit: Kit) -> str:
    """Concurrent repeats are as harmless as sequential ones: one application is known then."""
    request_id = kit.fresh()
    count = kit.options.parallel
    answers = await asyncio.gather(
        *(kit.ask(kit.submission(request_id), "submission") for _ in range(count))
    )
    accepted = [said for said in answers if said.code == "ok"]
    odd = {said.code for said in answers} - {"ok", "duplicate"}
    if odd:
        raise CheckFailedError(f"of {count} at once, some were answered {', '.join(sorted(odd))}")
    if not accepted:
        raise CheckFailedError(f"of {count} at once, not one was taken in")
    _one_of(await kit.known_twice(request_id), accepted)
    return f"of {count} at once {len(accepted)} were answered as taken in; one is known"


async def too_late(kit: Kit) -> str:
    """Nothing takes effect after `act_before`: the applicant may know of a failure by then."""
    request_id = kit.fresh()
    code = ""
    try:
        await kit.gateway.submit(kit.application(request_id), act_before=time.time() - 1)
    except AccessDeniedError as barred:
        code = str(barred)
    except GatewayRefusedError as refused:
        code = refused.code
    await kit.without_effect(request_id, "a submission whose `act_before` had passed")
    if not code:
        raise CheckFailedError(
            "a submission whose `act_before` had passed was answered as taken in"
        )
    if code != "too_late":
        raise CheckFailedError(f"refused with {code}; `too_late` is agreed: our clocks differ")
    return "refused as `too_late`"


async def cut_off(kit: Kit) -> str:
    """A submission whose sender vanishes is done by `act_before` or never: `unknown` is final."""
    request_id = kit.fresh()
    act_before = time.time() + kit.options.settle_s
    message = kit.dialect.submission(kit.application(request_id), act_before=act_before)
    await send_and_cut(message)
    await asyncio.sleep(max(0.0, act_before + 0.25 - time.time()))
    first = await kit.gateway.look_up(request_id)
    await asyncio.sleep(kit.options.settle_s)
    second = await kit.gateway.look_up(request_id)
    if first is None and second is not None:
        raise CheckFailedError(
            "it took effect after `act_before`, when the look-up had said `unknown`"
        )
    if first is not None and second is None:
        raise CheckFailedError("the look-up knew it, and a moment later did not")
    return "it was done in time" if second else "it was not done, and stayed so"
