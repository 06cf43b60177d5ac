"""Check supplements and withdrawals of existing applications."""

from __future__ import annotations

from tongban_connectors.domain.gateway import GatewayRefusedError
from tongban_ops.conformance.kit import FINAL, Kit, withdrawn
from tongban_ops.conformance.verdicts import CheckFailedError, CheckSkippedError
from tongban_provinces.models import GatewayState


async def supplement_not_awaited(kit: Kit) -> str:
    """An unexpected supplement is refused, so that a repeated one does not count twice."""
    known = await kit.known(kit.first)
    if known.state is GatewayState.NEEDS_SUPPLEMENT:
        raise CheckSkippedError(f"{kit.first} waits for a supplement, of all things")
    supplement = kit.gateway.supplement(
        kit.first, f"{kit.run}-s1", {"note": "conformance"}, act_before=kit.soon()
    )
    code = await kit.refusal_of(supplement)
    after = await kit.known(kit.first)
    if after.supplements > known.supplements:
        raise CheckFailedError(
            f"{kit.first} counts {after.supplements} supplements; none was awaited"
        )
    if not code:
        raise CheckFailedError("it was answered as though it had been taken")
    return _agreed(code, "not_awaited")


async def withdraw_pending(kit: Kit) -> str:
    """An undecided application can be withdrawn for good; a second withdrawal does no harm."""
    request_id = await _pending(kit)
    try:
        answer = await kit.gateway.withdraw(request_id, act_before=kit.soon())
    except GatewayRefusedError as refused:
        if (await kit.known(request_id)).state in FINAL:
            raise CheckSkippedError(f"{request_id} was decided just before") from refused
        raise CheckFailedError(
            f"{request_id} is open, and was not given back: {refused.code}"
        ) from None
    if not withdrawn(answer):
        raise CheckFailedError(f"the answer to the withdrawal does not say so: {answer.state}")
    if not withdrawn(await kit.known(request_id)):
        raise CheckFailedError("the look-up does not know of the withdrawal")
    code = await kit.refusal_of(kit.gateway.withdraw(request_id, act_before=kit.soon()))
    if not withdrawn(await kit.known(request_id)):
        raise CheckFailedError("withdrawn again, it is not withdrawn any more")
    again = f"refused as `{code}`" if code else "the same answer"
    return f"{request_id} was; again: {again}"


async def withdraw_final(kit: Kit) -> str:
    """A decided application cannot be withdrawn: the applicant may hold the document already."""
    request_id = await _finished(kit)
    code = await kit.refusal_of(kit.gateway.withdraw(request_id, act_before=kit.soon()))
    if withdrawn(await kit.known(request_id)):
        raise CheckFailedError(f"{request_id} was decided, and is withdrawn now")
    if not code:
        raise CheckFailedError(f"{request_id} was decided; its withdrawal was answered as done")
    return _agreed(code, "final")


async def withdraw_unknown(kit: Kit) -> str:
    """A withdrawal of an unknown application is refused, and creates nothing."""
    request_id = f"{kit.run}-never-sent"
    code = await kit.refusal_of(kit.gateway.withdraw(request_id, act_before=kit.soon()))
    if code is None:
        raise CheckFailedError(
            f"the withdrawal of {request_id}, which was never sent, was answered as done"
        )
    await kit.without_effect(request_id, "a withdrawal of an unknown id")
    return _agreed(code, "unknown")


def _agreed(code: str, agreed: str) -> str:
    return f"refused as `{code}`" + ("" if code == agreed else f"; `{agreed}` is agreed")


async def _pending(kit: Kit) -> str:
    """Return a new undecided application; the earlier ones may have been decided."""
    found = await kit.fresh_one(lambda answer: answer.state not in FINAL, kit.options.examples)
    if found is None:
        raise CheckSkippedError(
            "every test application was decided at once: none was open to be taken back"
        )
    return found.request_id


async def _finished(kit: Kit) -> str:
    """Return a decided application."""
    found = await kit.one(lambda answer: answer.state in FINAL)
    if found is None:
        raise CheckSkippedError("no test application was decided while the kit ran")
    return found.request_id
