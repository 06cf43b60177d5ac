"""What goes in and what comes out: letters, sizes, results."""

from __future__ import annotations

from tongban_router.conformance.kit import Kit
from tongban_router.conformance.messages import OWN_LIMIT
from tongban_router.conformance.verdicts import DoesNotHold, NotTried
from tongban_router.connectors.gateway import GatewayState

NAME = "𠮷㛃·麦麦提"
"""With a letter beyond the first plane, one of extension A, and the dot of transcribed names."""


async def unicode_names(kit: Kit) -> str:
    """Names arrive as they are written, in all of Unicode: 𠮷 and 㛃 are people's names."""
    request_id = kit.fresh()
    application = kit.application(request_id, kit.options.examples[-1])
    application["applicant"] = {**application["applicant"], "name": NAME}
    await kit.gateway.submit(application, act_before=kit.soon())
    known = await kit.known(request_id)
    facts = known.result.facts if known.result else []
    names = [fact.value for fact in facts if fact.label in ("姓名", "名称", "申请人")]
    if any(name != NAME for name in names):
        raise DoesNotHold(f"{NAME} came back as {', '.join(names)}")
    if names:
        return f"{NAME} came back as it was sent"
    return f"taken in; see in your books that {request_id} is of {NAME}"


async def large_form(kit: Kit) -> str:
    """What a kiosk may send (256 KiB) the gateway takes, and fields that it does not know too."""
    request_id = kit.fresh()
    application = kit.application(request_id)
    message = kit.dialect.submission(application, act_before=kit.soon(), padding=OWN_LIMIT)
    said = await kit.ask(message, "submission")
    if said.code != "ok":
        raise DoesNotHold(f"{len(message.body)} bytes were refused: {said.code}")
    await kit.known(request_id)
    return f"{len(message.body)} bytes were taken"


async def result(kit: Kit) -> str:
    """What is completed has its result: what is printed or shown is made of nothing else."""
    known = await kit.one(lambda answer: answer.state is GatewayState.COMPLETED)
    if known is None:
        raise NotTried("no test application was completed while the kit ran")
    if known.result is None:
        raise DoesNotHold(f"{known.request_id} is completed and has no result")
    if not (known.result.number and known.result.issuer and known.result.issued_on):
        raise DoesNotHold(f"the result of {known.request_id} lacks its number, issuer or date")
    return f"{known.request_id} has one, with {len(known.result.facts)} facts"
