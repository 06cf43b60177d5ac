"""Check signatures: the gateway refuses forged messages without effect, and signs its answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tongban_ops.conformance.kit import Kit
from tongban_ops.conformance.messages import Forgery

Function = Callable[[Kit], Awaitable[str]]


async def answers_signed(kit: Kit) -> str:
    """The gateway signs its answers: an unsigned one leaves it unknown what was done."""
    request_id = kit.fresh()
    submitted = await kit.ask(kit.submission(request_id), "submission")
    known = await kit.ask(kit.dialect.look_up(request_id), "look-up")
    return f"a submission ({submitted.status}) and a look-up ({known.status}) are answered with one"


def refuses(forgery: Forgery) -> Function:
    """Return a check that submissions forged in this way are refused without effect."""

    async def check(kit: Kit) -> str:
        request_id = kit.fresh()
        what = f"a submission that is {forgery.value}"
        reply = await kit.send(kit.submission(request_id, forgery=forgery))
        await kit.without_effect(request_id, what)
        return kit.refused_as_forged(reply, what)

    check.__doc__ = f"Nobody acts in our name: a submission that is {forgery.value} does nothing."
    return check


async def altered_target(kit: Kit) -> str:
    """A signature is valid for one address: a look-up's opens no other application."""
    reply = await kit.send(kit.dialect.look_up(kit.first, forgery=Forgery.ALTERED_TARGET))
    return kit.refused_as_forged(reply, "a look-up signed for another address")


async def replay(kit: Kit) -> str:
    """A recorded submission cannot be replayed: a nonce is valid for one message."""
    message = kit.submission(kit.fresh())
    await kit.ask(message, "submission")
    reply = await kit.send(message)
    return kit.refused_as_forged(reply, "the same message, nonce and all,")
