"""Check signatures: the gateway refuses forged messages without effect, and signs its answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tongban_ops.conformance.kit import Kit
from tongban_ops.conformance.messages import Forgery
from tongban_ops.conformance.verdicts import CheckFailedError

Function = Callable[[Kit], Awaitable[str]]


async def answers_signed(kit: Kit) -> str:
    """The gateway signs its answers: an unsigned one leaves it unknown what was done."""
    request_id = kit.fresh()
    application = kit.application(request_id)
    submitted = await kit.ask(
        kit.dialect.submission(application, act_before=kit.soon()), "submission"
    )
    known = await kit.ask(kit.dialect.look_up(request_id), "look-up")
    return f"a submission ({submitted.status}) and a look-up ({known.status}) are answered with one"


def refuses(forgery: Forgery) -> Function:
    """Return a check that submissions forged in this way are refused without effect."""

    async def check(kit: Kit) -> str:
        request_id = kit.fresh()
        application = kit.application(request_id)
        reply = await kit.send(
            kit.dialect.submission(application, act_before=kit.soon(), forgery=forgery)
        )
        refused = kit.dialect.distrust(reply)
        await kit.without_effect(request_id, f"a submission that is {forgery.value}")
        if refused is None:
            raise CheckFailedError(
                f"a submission that is {forgery.value} was answered {reply.status}"
            )
        return f"refused: {refused}"

    check.__doc__ = f"Nobody acts in our name: a submission that is {forgery.value} does nothing."
    return check


async def altered_target(kit: Kit) -> str:
    """A signature is valid for one address: a look-up's opens no other application."""
    reply = await kit.send(kit.dialect.look_up(kit.first, forgery=Forgery.ALTERED_TARGET))
    refused = kit.dialect.distrust(reply)
    if refused is None:
        raise CheckFailedError(f"a look-up signed for another address was answered {reply.status}")
    return f"refused: {refused}"


async def replay(kit: Kit) -> str:
    """A recorded submission cannot be replayed: a nonce is valid for one message."""
    application = kit.application(kit.fresh())
    message = kit.dialect.submission(application, act_before=kit.soon())
    await kit.ask(message, "submission")
    reply = await kit.send(message)
    refused = kit.dialect.distrust(reply)
    if refused is None:
        raise CheckFailedError(
            f"the same message, nonce and all, was answered {reply.status} again"
        )
    return f"refused: {refused}"
